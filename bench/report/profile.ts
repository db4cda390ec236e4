import { count } from '../columns.js'
import { table } from './markdown.js'

/** The file to which `--profile` writes its figures. */
export const PROFILE = 'bench/results/profile.json'

export const kinds = [
  'copying, checksums (kernel)',
  'system calls, network path (kernel)',
  'waking, switching threads',
  'JavaScript',
  'addon',
  'Node.js, V8, libuv, libc',
  'garbage collection',
] as const

/** Figures of one run: processors in use and, in the order of `kinds`, percent of their time. */
export interface Profile {
  scenario: string
  title: string
  shape: string
  peer: string
  datagramsPerSecond: number
  parts: { part: string; cpus: number; shares: number[] }[]
}

/** As Markdown. */
export const profileTable = (profiles: readonly Profile[]): string =>
  table(
    ['scenario', 'program', 'datagrams/s', 'CPUs', ...kinds.map(kind => `${kind}, %`)],
    profiles.flatMap(({ scenario, shape, peer, datagramsPerSecond, parts }) =>
      parts.map(({ part, cpus, shares }) => [
        `${scenario}, ${shape}: ${peer}`,
        part,
        count(datagramsPerSecond),
        cpus.toFixed(2),
        ...shares.map(share => share.toFixed(0)),
      ]),
    ),
    2,
  )

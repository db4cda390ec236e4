import { existsSync, readFileSync } from 'node:fs'

/** Where `--profile` leaves its figures. */
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

/** Of one run: processors in use and, in the order of `kinds`, percent of their time. */
export interface Profile {
  scenario: string
  title: string
  shape: string
  peer: string
  datagramsPerSecond: number
  parts: { part: string; cpus: number; shares: number[] }[]
}

/** What the last `npm run bench -- --profile` found, if there was one. */
export const readProfile = (root: string): Profile[] | undefined =>
  existsSync(`${root}${PROFILE}`) ? (JSON.parse(readFileSync(`${root}${PROFILE}`, 'utf8')) as Profile[]) : undefined

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** Markdown. */
export const profileTable = (profiles: readonly Profile[]): string =>
  [
    line(['scenario', 'program', 'datagrams/s', 'CPUs', ...kinds.map(kind => `${kind}, %`)]),
    line(['---', '---', ...Array(kinds.length + 2).fill('--:')]),
    ...profiles.flatMap(({ scenario, shape, peer, datagramsPerSecond, parts }) =>
      parts.map(({ part, cpus, shares }) =>
        line([
          `${scenario}, ${shape}: ${peer}`,
          part,
          Math.round(datagramsPerSecond).toLocaleString('en-US'),
          cpus.toFixed(2),
          ...shares.map(share => share.toFixed(0)),
        ]),
      ),
    ),
  ].join('\n')

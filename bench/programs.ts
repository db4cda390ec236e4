import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The package's root: this file runs as dist/bench/programs.js. */
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A program of ours, compiled: `node('bench/load/udp-sink.js')`. */
const node = (path: string): string[] => [process.execPath, `${root}dist/${path}`]

/** Every program that a scenario starts, as the first words of its command line. */
export const programs = {
  tunnel: node('src/cli/main.js'),
  /** Not started: what the two below import. */
  library: node('src/index.js'),
  librarySend: node('bench/peers/ours-send.js'),
  libraryReceive: node('bench/peers/ours-recv.js'),
  phantunClient: [`${root}.peers/phantun/bin/client`],
  phantunServer: [`${root}.peers/phantun/bin/server`],
  crate: [`${root}.peers/crate/release/fake-tcp-crate-peer`],
  pump: [`${root}.peers/bin/pump`],
  udpPlain: [`${root}.peers/bin/udp-plain`],
  udpSend: node('bench/load/udp-send.js'),
  udpSink: node('bench/load/udp-sink.js'),
} as const

export type Program = keyof typeof programs

/** Why these programs can't run, or undefined. */
export const absence = (...names: Program[]): string | undefined => {
  const missing = names.map(name => programs[name].at(-1) ?? '').filter(path => !existsSync(path))
  return missing.length > 0 ? `not built: ${missing.map(path => path.slice(root.length)).join(', ')}` : undefined
}

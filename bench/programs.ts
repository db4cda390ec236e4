import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The root of the package: this file runs as dist/bench/programs.js. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A compiled program of ours: `node('bench/load/udp-sink.js')`. */
const node = (path: string): string[] => [process.execPath, `${root}dist/${path}`]

/** Every program that a scenario starts, as the first words of its command line. */
export const programs = {
  tunnel: node('src/cli/main.js'),
  /** Imported by the two below, not started. */
  library: node('src/index.js'),
  librarySend: node('bench/peers/ours-send.js'),
  libraryReceive: node('bench/peers/ours-recv.js'),
  phantunClient: [`${root}.peers/phantun/bin/client`],
  phantunServer: [`${root}.peers/phantun/bin/server`],
  crate: [`${root}.peers/crate/release/fake-tcp-crate-peer`],
  tcpraw: [`${root}.peers/bin/tcpraw-peer`],
  pump: [`${root}.peers/bin/pump`],
  udpPlain: [`${root}.peers/bin/udp-plain`],
  tcpFlood: [`${root}.peers/bin/tcp-flood`],
  udpLatency: [`${root}.peers/bin/udp-latency`],
  udpDuplex: [`${root}.peers/bin/udp-duplex`],
  inject: node('bench/torture/inject.js'),
  udpSend: node('bench/load/udp-send.js'),
  udpSink: node('bench/load/udp-sink.js'),
  udpService: node('bench/load/udp-service.js'),
  /** Preloaded into other programs, not started. */
  shim: [`${root}.peers/shim.so`],
} as const

export type Program = keyof typeof programs

/** Why something was not built, as bench/peers/install.mjs wrote it: program file → sentence. */
const reasons = (): Record<string, string> => {
  try {
    return JSON.parse(readFileSync(`${root}.peers/absent.json`, 'utf8'))
  } catch {
    return {}
  }
}

/** Why these programs cannot run, in one sentence, or undefined. */
export const absence = (...names: readonly Program[]): string | undefined => {
  const missing = names.map(name => programs[name].at(-1) ?? '').filter(path => !existsSync(path))
  if (missing.length === 0) return undefined
  const known = reasons()
  const path = missing[0].slice(root.length)
  return known[path] ?? `${path} is not built.`
}

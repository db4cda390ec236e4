import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { Child } from '../../src/lab/child.js'
import { addresses, type Side } from '../../src/lab/network.js'

/** The package's root: this file runs as dist/test/support/programs.js. */
const root = fileURLToPath(new URL('../../..', import.meta.url))

export const cli = [process.execPath, `${root}dist/src/cli/main.js`] as const
export const phantun = {
  client: `${root}.peers/phantun/bin/client`,
  server: `${root}.peers/phantun/bin/server`,
} as const
/** A program of the tests, compiled: `program('support/library-echo.js')`. */
export const program = (path: string): string[] => [process.execPath, `${root}dist/test/${path}`]

/** Whose implementation. */
export type Kind = 'ours' | 'phantun'
export type Family = 4 | 6

export const ports = { client: 4500, server: 4567, service: 4600 } as const
export const tuns = { a: 'tuna', b: 'tunb' } as const
export const loopback = { 4: '127.0.0.1', 6: '[::1]' } as const
/** The server's TUN address, as a routed client reaches it … */
export const stackOfB = { 4: addresses.b.tunPeer, 6: `[${addresses.b.tunPeer6}]` } as const
/** … and the address that translates to it. */
export const vethOfB = { 4: addresses.b.veth, 6: `[${addresses.b.veth6}]` } as const

/** No program of a test runs longer. */
const limit = 120
const readySeconds = 20

const children = new WeakMap<Test, Child[]>()

/** The child ends with the test, however that goes. A test's children end together: each takes its time. */
export const endWith = (t: Test, child: Child): Child => {
  const others = children.get(t)
  if (others !== undefined) {
    others.push(child)
    return child
  }
  const all = [child]
  children.set(t, all)
  t.teardown(() => Promise.all(all.map(each => each.stop())))
  return child
}

export interface StartOptions {
  kind?: Kind
  /** --local; default: the loopback address (client) and the port of `ports`. */
  local?: string
  /** --remote; default: B's stack (client) or the service on the loopback address (server). */
  remote?: string
  flags?: readonly string[]
}

const commandOf = (kind: Kind, role: 'client' | 'server'): readonly string[] =>
  kind === 'ours' ? [...cli, role] : [phantun[role]]

/** Somebody in the child's namespace takes datagrams from anyone on this UDP port, whatever the family. */
const takesUdp = (child: Child, port: number): boolean => {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return new RegExp(`:${hex} 0+:0000 07`, 'u').test(child.net('udp') + child.net('udp6'))
}

const usual = {
  client: { local: `${loopback[4]}:${ports.client}`, remote: `${stackOfB[4]}:${ports.server}`, tun: tuns.a },
  server: { local: String(ports.server), remote: `${loopback[4]}:${ports.service}`, tun: tuns.b },
} as const

/** The command line of a tunnel client or server. */
export const commandLine = (role: 'client' | 'server', options: StartOptions = {}): string[] => {
  const { local, remote, tun } = usual[role]
  const { kind = 'ours', flags = [] } = options
  const argv = ['--local', options.local ?? local, '--remote', options.remote ?? remote, '--tun', tun, ...flags]
  return [...commandOf(kind, role), ...argv]
}

/** Starts a tunnel server and waits until it takes connections. */
export const startServer = async (t: Test, side: Side, options: StartOptions = {}): Promise<Child> => {
  const { kind = 'ours' } = options
  const settings = { name: `${kind} server`, seconds: limit, env: { RUST_LOG: 'info' } }
  const child = endWith(t, side.run(commandLine('server', options), settings))
  const isReady = () => (kind === 'ours' ? child.times('ready') > 0 : child.stderr.includes('Listening on'))
  await child.until(isReady, 'readiness', readySeconds)
  return child
}

/** Starts a tunnel client and waits until it takes datagrams. */
export const startClient = async (t: Test, side: Side, options: StartOptions = {}): Promise<Child> => {
  const { kind = 'ours', local = usual.client.local } = options
  const settings = { name: `${kind} client`, seconds: limit, env: { RUST_LOG: 'info' } }
  const child = endWith(t, side.run(commandLine('client', options), settings))
  const port = Number(local.slice(local.lastIndexOf(':') + 1))
  await child.until(
    () => (kind === 'ours' ? child.times('ready') > 0 : takesUdp(child, port)),
    'readiness',
    readySeconds,
  )
  return child
}

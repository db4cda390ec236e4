import { addresses } from '../src/lab/network.js'
import { type Program, programs } from './programs.js'
import type { Role } from './scenario.js'

/**
 * The two ends of the tunnel, and which program plays each:
 *
 *     A: load → 127.0.0.1:client port   client ─ TUN ═ veth
 *     B: veth ═ TUN ─ server   → 127.0.0.1:far port   sink, echo or load
 */
export const ports = { client: 4500, server: 4567, far: 4600 } as const
export const tuns = { a: 'tuna', b: 'tunb' } as const

/** Names of peers as tables show them. targets.ts finds rows by these names. */
export const names = {
  ours: 'fake-tcp',
  phantun: 'phantun 0.8.1',
  oursToStock: 'fake-tcp client, phantun server',
  stockToOurs: 'phantun client, fake-tcp server',
  coalesced: 'fake-tcp --coalesce-us 1000',
  direct: 'UDP without a tunnel',
  service: 'fake-tcp, service',
  batches: 'fake-tcp, batches',
  one: 'fake-tcp, one by one',
  plainBatches: 'fake-tcp, batches, no offload',
  plainService: 'fake-tcp, service, no offload',
  crate: 'crate fake-tcp 0.7.1',
  tcpraw: 'tcpraw 1.2.31 (Go)',
  kernelSuper: 'kernel, super-packets',
  kernelPlain: 'kernel, one packet per call',
} as const

/** One program of a tunnel. */
export interface End {
  command: readonly string[]
  env: Record<string, string>
  needs: Program
}

export interface Pair {
  name: string
  role: Role
  client: End
  server: End
}

const serverFlags = [
  ...['--local', String(ports.server), '--remote', `127.0.0.1:${ports.far}`],
  ...['--tun', tuns.b, '--tun-local', addresses.b.tunLocal, '--tun-peer', addresses.b.tunPeer, '-4'],
]
const clientFlags = [
  ...['--local', `127.0.0.1:${ports.client}`, '--remote', `${addresses.b.tunPeer}:${ports.server}`],
  ...['--tun', tuns.a, '--tun-local', addresses.a.tunLocal, '--tun-peer', addresses.a.tunPeer, '-4'],
]

/** Thousands of connections come and go, so neither side logs each of them. */
const quietly = ['--log-level', 'warn']

const coalescing = ['--coalesce-us', '1000']

const ours = {
  client: { command: [...programs.tunnel, 'client', ...clientFlags, ...quietly], env: {}, needs: 'tunnel' },
  server: { command: [...programs.tunnel, 'server', ...serverFlags, ...quietly], env: {}, needs: 'tunnel' },
} as const
const env = { RUST_LOG: 'error' }
const phantun = {
  client: { command: [...programs.phantunClient, ...clientFlags], env, needs: 'phantunClient' },
  server: { command: [...programs.phantunServer, ...serverFlags], env, needs: 'phantunServer' },
} as const

export const pairs = {
  ours: { name: names.ours, role: 'ours', ...ours },
  coalesced: {
    ...{ name: names.coalesced, role: 'ours' },
    client: { ...ours.client, command: [...ours.client.command, ...coalescing] },
    server: { ...ours.server, command: [...ours.server.command, ...coalescing] },
  },
  phantun: { name: names.phantun, role: 'reference', ...phantun },
  oursToStock: { name: names.oursToStock, role: 'mixed', client: ours.client, server: phantun.server },
  stockToOurs: { name: names.stockToOurs, role: 'mixed', client: phantun.client, server: ours.server },
} as const satisfies Record<string, Pair>

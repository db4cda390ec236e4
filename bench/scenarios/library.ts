import { spawnSync } from 'node:child_process'
import type { Network } from '../../src/lab/network.js'
import { names } from '../ends.js'
import { type Implementation, measureLibrary } from '../measure/library.js'
import { absence, type Program, programs } from '../programs.js'
import type { Peer, Scenario } from '../scenario.js'

const MANY = 10_000
const ONE = 1

const ours = (name: string, send: readonly string[], receive: readonly string[]): Implementation => ({
  name,
  role: 'ours',
  send: [...programs.librarySend, ...send],
  receive: [...programs.libraryReceive, ...receive],
  needs: ['library', 'librarySend', 'libraryReceive'],
  tun: true,
  maxFlows: MANY,
})
const noOffload = ['--offload', '0']

const service = ours(names.service, [], ['--mode', 'service'])
const batches = ours(names.batches, [], [])
const one = ours(names.one, ['--mode', 'one'], ['--mode', 'one'])
const plainBatches = ours(names.plainBatches, noOffload, noOffload)
const plainService = ours(names.plainService, noOffload, [...noOffload, '--mode', 'service'])

/** A peer of others: its program, how its two halves are called, and what it runs on. */
const theirs = (
  name: string,
  role: 'reference' | 'other' | 'limit',
  program: Program,
  options: readonly string[] = [],
): Implementation => ({
  name,
  role,
  send: [...programs[program], 'send', ...options],
  receive: [...programs[program], 'recv', ...options],
  needs: [program],
  tun: true,
  maxFlows: ONE,
})

/**
 * tcpraw borrows a connection of the kernel, whose own packets (TTL 1) must not leave. tcpraw asks iptables for that,
 * the lab asks nft. Without either the other end's kernel answers these packets, which costs tcpraw speed and nothing
 * else.
 */
const silenceKernel = (network: Network): (() => void) => {
  if (spawnSync('nft', ['--version'], { stdio: 'ignore' }).status !== 0) return () => {}
  const sides = [network.a, network.b]
  const rule = 'chain out { type filter hook output priority 0; meta l4proto tcp ip ttl 1 drop; }'
  for (const side of sides) side.command(['nft', `table inet tcpraw {\n${rule}\n}`])
  return () => {
    for (const side of sides) side.command(['nft', 'delete table inet tcpraw'])
  }
}

const crate: Implementation = { ...theirs(names.crate, 'reference', 'crate'), maxFlows: MANY }
const tcpraw: Implementation = { ...theirs(names.tcpraw, 'other', 'tcpraw'), tun: false, prepare: silenceKernel }
const kernelSuper = theirs(names.kernelSuper, 'limit', 'pump', ['--offload', '1'])
const kernelPlain = theirs(names.kernelPlain, 'limit', 'pump', noOffload)

const scenario = (
  name: string,
  title: string,
  load: { size: number; flows: number },
  implementations: readonly Implementation[],
  where: Pick<Scenario, 'shapes' | 'quick'>,
): Scenario => ({
  name: `library/${name}`,
  title,
  figure: 'datagramsPerSecond',
  ...load,
  ...where,
  duration: seconds => seconds + 1.5 + load.flows / 2000,
  peers: implementations
    .filter(peer => load.flows <= peer.maxFlows)
    .map(
      (peer): Peer => ({
        name: peer.name,
        role: peer.role,
        absent: absence(...peer.needs),
        run: (network, seconds) => measureLibrary(network, seconds, peer, load),
      }),
    ),
})

const everywhere = { shapes: ['plain', 'wire'], quick: ['plain', 'wire'] } as const
const plainOnly = { shapes: ['plain'], quick: [] } as const
const plainQuick = { shapes: ['plain'], quick: ['plain'] } as const

const all = [service, batches, one, plainService, plainBatches, crate, tcpraw, kernelSuper, kernelPlain]
const fast = [service, batches, crate, tcpraw, kernelSuper, kernelPlain]

/** One direction, as fast as the sender can. */
export const libraryScenarios: readonly Scenario[] = [
  scenario('1400', 'Library, datagrams of 1,400 bytes, one flow', { size: 1400, flows: 1 }, all, everywhere),
  scenario('512', 'Library, datagrams of 512 bytes, one flow', { size: 512, flows: 1 }, fast, plainOnly),
  scenario('256', 'Library, datagrams of 256 bytes, one flow', { size: 256, flows: 1 }, fast, plainOnly),
  scenario('64', 'Library, datagrams of 64 bytes, one flow', { size: 64, flows: 1 }, fast, plainQuick),
  ...[10, 1_000, 10_000].map(flows =>
    scenario(
      `flows-${flows}`,
      `Library, datagrams of 1,400 bytes over ${flows.toLocaleString('en-US')} flows in turn`,
      { size: 1400, flows },
      [service, batches, crate],
      flows === 10_000 ? plainQuick : plainOnly,
    ),
  ),
]

import { setTimeout as sleep } from 'node:timers/promises'
import { addresses, type Network } from '../../src/lab/network.js'
import { absence, type Program, programs } from '../programs.js'
import { type Arrived, type Metrics, metricsOf, type Peer, type Role, type Scenario, type Sent } from '../scenario.js'

/** One sender in A, one receiver in B, no UDP: the stack and its API alone, each implementation by its fastest one. */
const PORT = 4567
const TUN_A = 'tuna'
const TUN_B = 'tunb'
const SIZE = 1400
/** After the sender's end, in milliseconds. */
const DRAIN = 300
/** More than starting and stopping ever takes, in seconds. */
const SLACK = 20

interface Implementation {
  name: string
  role: Role
  send: readonly string[]
  receive: readonly string[]
  needs: Program[]
}

const implementations: readonly Implementation[] = [
  {
    name: 'fake-tcp',
    role: 'ours',
    send: programs.librarySend,
    receive: [...programs.libraryReceive, '--port', String(PORT)],
    needs: ['library', 'librarySend', 'libraryReceive'],
  },
  {
    name: 'crate fake-tcp 0.7.1',
    role: 'reference',
    send: [...programs.crate, 'send'],
    receive: [...programs.crate, 'recv', '--port', String(PORT)],
    needs: ['crate'],
  },
  {
    name: 'kernel, one packet per call',
    role: 'limit',
    send: [...programs.pump, 'send', '--offload', '0'],
    receive: [...programs.pump, 'recv', '--offload', '0'],
    needs: ['pump'],
  },
  {
    name: 'kernel, super-packets',
    role: 'limit',
    send: [...programs.pump, 'send', '--offload', '1'],
    receive: [...programs.pump, 'recv', '--offload', '1'],
    needs: ['pump'],
  },
]

const tunFlags = (name: string, side: 'a' | 'b'): string[] => [
  ...['--tun', name, '--tun-local', addresses[side].tunLocal, '--tun-peer', addresses[side].tunPeer],
]

const measure = async (network: Network, seconds: number, peer: Implementation): Promise<Metrics> => {
  const limit = seconds + SLACK
  const receiveCommand = [...peer.receive, ...tunFlags(TUN_B, 'b'), '--seconds', String(limit)]
  const receiver = network.b.run(receiveCommand, { name: `${peer.name} receiver`, seconds: limit + 1 })
  const to = ['--remote', `${addresses.b.tunPeer}:${PORT}`, '--size', String(SIZE), '--seconds', String(seconds)]
  const sendCommand = [...peer.send, ...tunFlags(TUN_A, 'a'), ...to]
  try {
    await receiver.until(() => receiver.stderr.includes('ready') && receiver.hasInterface(TUN_B), 'TUN device')
    const sender = network.a.run(sendCommand, { name: `${peer.name} sender`, seconds: limit })
    const sent = await sender.json<Sent>()
    await sleep(DRAIN)
    await receiver.stop()
    const arrived = await receiver.json<Arrived>()
    return metricsOf(sent, arrived, sent.cpuSeconds + arrived.cpuSeconds, 0)
  } finally {
    await receiver.stop()
  }
}

export const libraryScenarios: readonly Scenario[] = [
  {
    name: 'library/batches',
    title: 'Library, one flow, as fast as the sender can',
    peers: implementations.map(
      (peer): Peer => ({
        name: peer.name,
        role: peer.role,
        absent: absence(...peer.needs),
        run: (network, seconds) => measure(network, seconds, peer),
      }),
    ),
  },
]

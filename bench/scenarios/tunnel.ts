import { setTimeout as sleep } from 'node:timers/promises'
import { addresses, type Network } from '../../src/lab/network.js'
import { absence, type Program, programs } from '../programs.js'
import { type Arrived, type Metrics, metricsOf, type Peer, type Role, type Scenario, type Sent } from '../scenario.js'

/**
 * UDP in, fake TCP over the wire, UDP out:
 *
 *     A: sender → 127.0.0.1:CLIENT_PORT client ─ TUN ═ veth ═ TUN ─ server → 127.0.0.1:SINK_PORT sink :B
 */
const CLIENT_PORT = 4500
const SERVER_PORT = 4567
const SINK_PORT = 4600
const TUN_A = 'tuna'
const TUN_B = 'tunb'
const SIZE = 1400
/** The first datagram opens the connection; the load starts this many milliseconds later. */
const WARMUP = 600
/** From the programs' TUN devices being there to their being ready, in milliseconds. */
const SETTLE = 500
/** After the last datagram was sent, in milliseconds: queues run empty. */
const DRAIN = 300
/** More than starting and stopping ever takes, in seconds. */
const SLACK = 20

interface Implementation {
  name: string
  role: Role
  client: readonly string[]
  server: readonly string[]
  env: Record<string, string>
  needs: Program[]
}

interface Load {
  /** The sender's command line up to its common options. */
  command: readonly string[]
  needs: Program
}

const serverFlags = [
  ...['--local', String(SERVER_PORT), '--remote', `127.0.0.1:${SINK_PORT}`],
  ...['--tun', TUN_B, '--tun-local', addresses.b.tunLocal, '--tun-peer', addresses.b.tunPeer, '-4'],
]
const clientFlags = [
  ...['--local', `127.0.0.1:${CLIENT_PORT}`, '--remote', `${addresses.b.tunPeer}:${SERVER_PORT}`],
  ...['--tun', TUN_A, '--tun-local', addresses.a.tunLocal, '--tun-peer', addresses.a.tunPeer, '-4'],
]

const implementations: readonly Implementation[] = [
  {
    name: 'fake-tcp',
    role: 'ours',
    client: [...programs.tunnel, 'client', ...clientFlags],
    server: [...programs.tunnel, 'server', ...serverFlags],
    env: {},
    needs: ['tunnel'],
  },
  {
    name: 'phantun 0.8.1',
    role: 'reference',
    client: [...programs.phantunClient, ...clientFlags],
    server: [...programs.phantunServer, ...serverFlags],
    env: { RUST_LOG: 'warn' },
    needs: ['phantunClient', 'phantunServer'],
  },
]

const measure = async (network: Network, seconds: number, peer: Implementation, load: Load): Promise<Metrics> => {
  const { a, b } = network
  const limit = seconds + SLACK
  const sinkCommand = [...programs.udpSink, '--listen', `127.0.0.1:${SINK_PORT}`, '--seconds', String(limit)]
  const sink = b.run(sinkCommand, { name: 'udp-sink', seconds: limit + 1 })
  const server = b.run(peer.server, { name: `${peer.name} server`, seconds: limit, env: peer.env })
  const client = a.run(peer.client, { name: `${peer.name} client`, seconds: limit, env: peer.env })
  const tested = [client, server]
  try {
    await sink.until(() => sink.stderr.includes('ready'), 'UDP socket')
    await server.until(() => server.hasInterface(TUN_B), 'TUN device')
    await client.until(() => client.hasInterface(TUN_A) && client.hasUdpPort(CLIENT_PORT), 'TUN device and UDP socket')
    await sleep(SETTLE)
    const before = tested.map(child => child.cpuSeconds())
    const to = ['--to', `127.0.0.1:${CLIENT_PORT}`, '--size', String(SIZE), '--seconds', String(seconds)]
    const command = [...load.command, ...to, '--warmup', String(WARMUP)]
    const sent = await a.run(command, { name: 'sender', seconds: limit }).json<Sent>()
    await sleep(DRAIN)
    for (const child of tested) if (!child.running) throw new Error(`${child.name} ended\n${child.stderr}`)
    const cpu = tested.reduce((sum, child, i) => sum + child.cpuSeconds() - before[i], 0)
    const memory = tested.reduce((sum, child) => sum + child.peakMemory(), 0)
    await sink.stop()
    return metricsOf(sent, await sink.json<Arrived>(), cpu, memory)
  } finally {
    await Promise.all([client, server, sink].map(child => child.stop()))
  }
}

const scenario = (name: string, title: string, load: Load): Scenario => ({
  name,
  title,
  peers: implementations.map(
    (peer): Peer => ({
      name: peer.name,
      role: peer.role,
      absent: absence(...peer.needs, load.needs, 'udpSink'),
      run: (network, seconds) => measure(network, seconds, peer, load),
    }),
  ),
})

/** Each of `SIZE` bytes payload, one flow, A to B. */
export const tunnelScenarios: readonly Scenario[] = [
  scenario('tunnel/plain', 'Tunnel, one datagram per system call, as fast as the sender can', {
    command: programs.udpPlain,
    needs: 'udpPlain',
  }),
  scenario('tunnel/gso', 'Tunnel, sender uses UDP GSO, as fast as the sender can', {
    command: [...programs.udpSend, '--gso'],
    needs: 'udpSend',
  }),
  scenario('tunnel/50k', 'Tunnel, 50,000 datagrams per second, one per system call', {
    command: [...programs.udpPlain, '--rate', '50000'],
    needs: 'udpPlain',
  }),
]

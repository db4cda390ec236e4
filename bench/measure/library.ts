import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../src/lab/child.js'
import { addresses, type Network } from '../../src/lab/network.js'
import { tuns } from '../ends.js'
import type { Program } from '../programs.js'
import { type Arrived, type Metrics, metricsOf, type Role, type Sent } from '../scenario.js'

/** One sender in A, one receiver in B and no UDP: the stack and its API alone. */
export const PORT = 4567
/** Wait after the sender's end, in milliseconds. A sender takes longer to close its connections. */
const DRAIN = 250
/** Timeout beyond the load, in seconds, for starting, opening thousands of connections and stopping. */
const SLACK = 30

export interface Implementation {
  name: string
  role: Role
  send: readonly string[]
  receive: readonly string[]
  needs: readonly Program[]
  /** Whether it works on TUN devices. If not, it uses the addresses of the wire itself. */
  tun: boolean
  /** The maximum number of connections at once. */
  maxFlows: number
  /** Prepares the network for it, and answers a function that undoes that. */
  prepare?(network: Network): () => void
}

export interface LibraryLoad {
  size: number
  flows: number
}

const flags = (peer: Implementation, side: 'a' | 'b'): string[] =>
  peer.tun ? ['--tun', tuns[side], '--tun-local', addresses[side].tunLocal, '--tun-peer', addresses[side].tunPeer] : []

/** Where the receiver listens. */
const target = (peer: Implementation): string => `${peer.tun ? addresses.b.tunPeer : addresses.b.veth}:${PORT}`

/** One run, as fast as the sender can, from A to B. CPU time counts from the moment when all connections are open. */
export const measureLibrary = async (
  network: Network,
  seconds: number,
  peer: Implementation,
  load: LibraryLoad,
): Promise<Metrics> => {
  const limit = seconds + SLACK
  const undo = peer.prepare?.(network)
  const listen = peer.tun ? ['--port', String(PORT)] : ['--listen', target(peer)]
  const receiveCommand = [...peer.receive, ...flags(peer, 'b'), ...listen, '--seconds', String(limit)]
  const receiver = network.b.run(receiveCommand, { name: `${peer.name} (receiver)`, seconds: limit + 1 })
  const loadFlags = ['--size', String(load.size), ...(load.flows > 1 ? ['--flows', String(load.flows)] : [])]
  const sendCommand = [...peer.send, ...flags(peer, 'a'), '--remote', target(peer), ...loadFlags]
  let sender: Child | undefined
  try {
    const ready = (): boolean => receiver.stderr.includes('ready') && (!peer.tun || receiver.hasInterface(tuns.b))
    await receiver.until(ready, 'TUN device')
    const started = network.a.run([...sendCommand, '--seconds', String(seconds)], {
      name: `${peer.name} (sender)`,
      seconds: limit,
    })
    sender = started
    await started.until(() => started.stderr.includes('started'), 'open connections', SLACK)
    const before = receiver.cpuSeconds()
    const sent = await started.json<Sent>()
    await sleep(DRAIN)
    const cpu = receiver.cpuSeconds() - before
    await receiver.stop()
    const arrived = await receiver.json<Arrived>()
    return metricsOf(sent, arrived, [sent.cpuSeconds, cpu], (sent.memoryMB ?? 0) + (arrived.memoryMB ?? 0))
  } finally {
    await Promise.all([sender?.stop(), receiver.stop()])
    undo?.()
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../src/lab/child.js'
import { addresses, type Network } from '../../src/lab/network.js'
import { tuns } from '../ends.js'
import type { Program } from '../programs.js'
import { type Arrived, type Metrics, metricsOf, type Role, type Sent } from '../scenario.js'

/** One sender in A, one receiver in B, no UDP: the stack and its API alone. */
export const PORT = 4567
/** After the sender's end, in milliseconds: less than its own farewell takes. */
const DRAIN = 250
/** More than starting, opening thousands of connections and stopping ever take, in seconds. */
const SLACK = 30

export interface Implementation {
  name: string
  role: Role
  send: readonly string[]
  receive: readonly string[]
  needs: readonly Program[]
  /** Whether it works on TUN devices; else on the wire's own addresses. */
  tun: boolean
  /** Most connections at once. */
  maxFlows: number
  /** Makes the network fit for it, and answers how to undo that. */
  prepare?(network: Network): () => void
}

export interface LibraryLoad {
  size: number
  flows: number
}

const flags = (peer: Implementation, side: 'a' | 'b'): string[] =>
  peer.tun ? ['--tun', tuns[side], '--tun-local', addresses[side].tunLocal, '--tun-peer', addresses[side].tunPeer] : []

/** Where the receiver is found. */
const target = (peer: Implementation): string => `${peer.tun ? addresses.b.tunPeer : addresses.b.veth}:${PORT}`

/** One run: as fast as the sender can, A to B. CPU time counts from the moment that all connections are open. */
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

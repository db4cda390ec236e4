import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Child } from '../lab/child.js'
import { addresses, type Network, type Side } from '../lab/network.js'
import type { CaptureJob, ReceiverJob, SenderJob } from './jobs.js'
import { ports } from './jobs.js'
import { demoError } from './part.js'

const node = (file: string): string[] => [process.execPath, fileURLToPath(new URL(file, import.meta.url))]

/** Starts the demo's processes, each on its side of the network. A process is killed after `seconds`. */
export class Programs {
  readonly #network: Network
  readonly #seconds: number

  constructor(network: Network, seconds: number) {
    this.#network = network
    this.#seconds = seconds
  }

  server(): Child {
    const { tunLocal, tunPeer } = addresses.b
    const flags = ['--local', String(ports.server), '--remote', `127.0.0.1:${ports.receiver}`]
    return this.#tunnel(this.#network.b, 'server', [...flags, '--tun-local', tunLocal, '--tun-peer', tunPeer])
  }

  client(): Child {
    const { tunLocal, tunPeer } = addresses.a
    const flags = ['--local', `127.0.0.1:${ports.client}`, '--remote', `${addresses.b.tunPeer}:${ports.server}`]
    return this.#tunnel(this.#network.a, 'client', [...flags, '--tun-local', tunLocal, '--tun-peer', tunPeer])
  }

  sender(job: SenderJob): Child {
    return this.#part(this.#network.a, 'sender', 'send.js', job)
  }

  receiver(job: ReceiverJob): Child {
    return this.#part(this.#network.b, 'receiver', 'receive.js', job)
  }

  capture(file: string): Child {
    const job: CaptureJob = { interface: this.#network.vethA, file }
    return this.#part(this.#network.a, 'capture', 'capture.js', job)
  }

  #tunnel(side: Side, name: string, flags: readonly string[]): Child {
    return side.run([...node('../cli/main.js'), name, ...flags, '--ipv4-only'], { name, seconds: this.#seconds })
  }

  #part(side: Side, name: string, file: string, job: object): Child {
    return side.run([...node(file), JSON.stringify(job)], { name, seconds: this.#seconds })
  }
}

/**
 * Waits until a child is ready: a tunnel logs the event `ready`, any other part writes the line 'ready' to its stderr.
 */
export const started = async (child: Child): Promise<void> => {
  const written = child.until(() => child.times('ready') > 0 || /^ready$/mu.test(child.stderr), 'being ready')
  await written.catch(async (error: unknown) => {
    throw child.running ? demoError(`The ${child.name} was not ready within 10 s.`, error) : await early(child)
  })
}

/** Waits for a child's result. Rejects when the child fails, or when one of `needed` ends before it. */
export const finished = async <T>(child: Child, needed: readonly Child[]): Promise<T> => {
  const others = needed.map(other => other.ended.then(() => early(other)).then(error => Promise.reject(error)))
  await Promise.race([child.ended, ...others])
  return answerOf<T>(child)
}

/** Sends SIGTERM to a child and waits for its result. Rejects when the child fails. */
export const stopped = async <T>(child: Child): Promise<T> => {
  child.process.kill('SIGTERM')
  await child.ended
  return answerOf<T>(child)
}

const answerOf = async <T>(child: Child): Promise<T> => {
  if ((await child.ended) !== 0) throw await early(child)
  return child.json<T>()
}

/** An error that says why a child has ended: with the child's own sentence, if it printed one. */
const early = async (child: Child): Promise<Error> => {
  const end = await child.ended
  const sentence = /^fake-tcp: (.*)$/m.exec(child.stderr)?.[1]
  return demoError(`The ${child.name} ended early (${end})${sentence === undefined ? '.' : `: ${sentence}`}`)
}

/** Minimum number of packets for a mean that says something. */
const minPackets = 100

/**
 * Mean number of datagrams per packet that a client or server sent, from the last line of its log. `single`: number of
 * datagrams to leave out, since they were sent one by one. undefined when there is no such line, or too few packets.
 */
export const datagramsPerPacket = (tunnel: Child, single: number): number | undefined => {
  const [stopped] = tunnel.logged('stopped')
  if (stopped === undefined) return undefined
  const { traffic } = stopped as unknown as { traffic: Record<string, number> }
  const { datagramsOut = 0, packetsOut = 0, acksOut = 0, challengesOut = 0, resetsOut = 0 } = traffic
  // The 1 is the SYN.
  const packets = packetsOut - acksOut - challengesOut - resetsOut - 1 - single
  return packets > minPackets ? (datagramsOut - single) / packets : undefined
}

/** Number of datagrams that may be under way: few enough that no UDP socket's buffer overflows when all wait in it. */
export const windowSize = (): number => (ownsMachine() ? 1_024 : 96)

/**
 * Whether this process is in the machine's initial user namespace. Only there the kernel lets it make socket buffers
 * larger than its limit.
 */
const ownsMachine = (): boolean => {
  const [inside, outside, count] = readFileSync('/proc/self/uid_map', 'latin1').trim().split(/\s+/).map(Number)
  return inside === 0 && outside === 0 && count === 0xffffffff
}

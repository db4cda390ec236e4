import { randomInt } from 'node:crypto'
import { loopbackAddresses, type PortPlan, type Ports } from './port-plan.js'

/** Address and port that a server's UDP socket binds to. */
export interface SourcePort {
  /** Loopback address; undefined: the wildcard address, so the kernel chooses the source address. */
  readonly address: Uint8Array | undefined
  readonly port: number
}

/**
 * Milliseconds that a released port rests, as long as other ports are free: late answers to its last flow must not
 * reach a new one.
 */
const restMs = 60_000

/**
 * The free ports of one worker for one kind of service. A place names a port: last byte of the loopback address, or 0
 * for the wildcard address, << 16 | port.
 */
class Pool {
  readonly #more: () => number[] | undefined
  /** Places that were never used. */
  #fresh: number[] = []
  /** Released places and the end of their rest, first released first. */
  #used: { place: number; until: number }[] = []
  #usedFrom = 0

  constructor(more: () => number[] | undefined) {
    this.#more = more
  }

  take(now: number): number | undefined {
    const oldest = this.#used[this.#usedFrom]
    if (oldest !== undefined && oldest.until <= now) return this.#reuse()
    while (this.#fresh.length === 0) {
      const more = this.#more()
      if (more === undefined) return oldest === undefined ? undefined : this.#reuse()
      this.#fresh = more
    }
    // At random, so that an attacker cannot predict the port and forge the service's answers (RFC 6056).
    const at = randomInt(this.#fresh.length)
    const place = this.#fresh[at]
    this.#fresh[at] = this.#fresh[this.#fresh.length - 1]
    this.#fresh.length--
    return place
  }

  release(place: number, now: number): void {
    this.#used.push({ place, until: now + restMs })
  }

  #reuse(): number {
    const { place } = this.#used[this.#usedFrom++]
    if (this.#usedFrom > 1_024 && this.#usedFrom * 2 > this.#used.length) {
      this.#used.splice(0, this.#usedFrom)
      this.#usedFrom = 0
    }
    return place
  }
}

/** Gives out the source ports of one worker: its share of the plan, so that no two workers try the same port. */
export class SourcePorts {
  readonly #loopback: Pool
  readonly #elsewhere: Pool
  #addresses = loopbackAddresses

  constructor(plan: PortPlan, queue: number, queues: number) {
    const share = (ports: Ports, address: number): number[] =>
      [...ports.filter((_, i) => i % queues === queue)].map(port => (address << 16) | port)
    let address = 1
    let loopbackTier = 0
    this.#loopback = new Pool(() => {
      if (loopbackTier === plan.loopback.length) {
        loopbackTier = 0
        address++
      }
      const ports = plan.loopback[loopbackTier++]
      return ports === undefined || address > this.#addresses ? undefined : share(ports, address)
    })
    let tier = 0
    this.#elsewhere = new Pool(() => (tier < plan.elsewhere.length ? share(plan.elsewhere[tier++], 0) : undefined))
  }

  /**
   * A port, the caller's until `release`; undefined when all are in use. `isLoopback`: for a service on 127.0.0.0/8.
   * `now` in milliseconds.
   */
  take(isLoopback: boolean, now: number): SourcePort | undefined {
    const place = (isLoopback ? this.#loopback : this.#elsewhere).take(now)
    if (place === undefined) return undefined
    const address = place >>> 16
    return { address: address === 0 ? undefined : Uint8Array.of(127, 0, 0, address), port: place & 0xffff }
  }

  /** Takes a port back: its socket is closed, or another program has the port. `now` in milliseconds. */
  release({ address, port }: SourcePort, now: number): void {
    if (address === undefined) this.#elsewhere.release(port, now)
    else this.#loopback.release((address[3] << 16) | port, now)
  }

  /** From now on only 127.0.0.1: this machine's loopback interface has no other address. */
  keepToOneAddress(): void {
    this.#addresses = 1
  }
}

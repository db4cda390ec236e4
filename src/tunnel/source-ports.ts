import { randomInt } from 'node:crypto'
import { loopbackAddresses, type PortPlan, type Ports } from './port-plan.js'

/** Source of a server's UDP socket. */
export interface SourcePort {
  /** Loopback address to bind to; undefined: any address, the kernel chooses. */
  readonly address: Uint8Array | undefined
  readonly port: number
}

/**
 * A port rests for so many milliseconds while there are others: late answers to its last flow must not meet a new one.
 */
const restMs = 60_000

/** Ports of one kind. A port is known by its place: number of the loopback address << 16 | port. */
class Pool {
  readonly #more: () => number[] | undefined
  /** Never used so far. */
  #fresh: number[] = []
  /** Used before, oldest first. */
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
    // Nobody can tell which one is next.
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

/** The source ports of one worker's UDP sockets: its share of the plan, so that no two workers try the same one. */
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
   * A port that is ours until it is released, or undefined when all are in use. `isLoopback`: for a service on
   * 127.0.0.0/8.
   */
  take(isLoopback: boolean, now: number): SourcePort | undefined {
    const place = (isLoopback ? this.#loopback : this.#elsewhere).take(now)
    if (place === undefined) return undefined
    const address = place >>> 16
    return { address: address === 0 ? undefined : Uint8Array.of(127, 0, 0, address), port: place & 0xffff }
  }

  /** It is not used any more, or turned out to be somebody else's. */
  release({ address, port }: SourcePort, now: number): void {
    if (address === undefined) this.#elsewhere.release(port, now)
    else this.#loopback.release((address[3] << 16) | port, now)
  }

  /** This machine's loopback interface has but one address. */
  keepToOneAddress(): void {
    this.#addresses = 1
  }
}

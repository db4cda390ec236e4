import { setTimeout as sleep } from 'node:timers/promises'
import type { Batch } from '../../src/memory/batch.js'
import type { CloseReason } from '../../src/path/messages.js'
import type { ReadHandler, Service, ServiceContext, ServiceFlow } from '../../src/workers/service.js'

/** A worker's context that does nothing by itself: the test turns the clock, and says when descriptors are looked at. */
export class FakeContext<Data = unknown> implements ServiceContext<Data> {
  data!: Data
  queue = 0
  queues = 1
  /** Milliseconds. */
  clock = 100_000
  /** Sentences and events, in order. */
  readonly said: string[] = []
  readonly events: string[] = []
  readonly counts: Record<string, number> = {}
  readonly connects: { token: number; remotes: readonly Uint8Array[]; port: number }[] = []
  readonly #handlers = new Map<number, ReadHandler>()
  readonly #timers: { at: number; every: number; act: () => void }[] = []

  now(): number {
    return this.clock
  }

  onReadable(fd: number, read: ReadHandler): number {
    this.#handlers.set(fd, read)
    return 0
  }

  offReadable(fd: number): void {
    this.#handlers.delete(fd)
  }

  /** Descriptors that are watched. */
  get watched(): number[] {
    return [...this.#handlers.keys()]
  }

  connect(token: number, remotes: readonly Uint8Array[], port: number): void {
    this.connects.push({ token, remotes, port })
  }

  every(ms: number, tick: () => void): void {
    this.#timers.push({ at: this.clock + ms, every: ms, act: tick })
  }

  after(ms: number, act: () => void): void {
    this.#timers.push({ at: this.clock + ms, every: 0, act })
  }

  count(counter: string, by = 1): void {
    this.counts[counter] = (this.counts[counter] ?? 0) + by
  }

  log(level: string, event: string, text: string): void {
    this.said.push(`${level}: ${text}`)
    this.events.push(event)
  }

  /** Lets time go by; what is due happens. */
  pass(ms: number): void {
    const end = this.clock + ms
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.clock = Math.max(this.clock, next.at)
      if (next.every > 0) next.at += next.every
      else this.#timers.splice(this.#timers.indexOf(next), 1)
      next.act()
    }
    this.clock = end
  }

  /** Looks at every descriptor until none brings anything. Takes a moment of real time. */
  async look(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      const any = [...this.#handlers.values()].map(read => read()).some(Boolean)
      quiet = any ? 0 : quiet + 1
      await sleep(2)
    }
  }

  /** What was said since the last look, but for developers. */
  news(): string[] {
    return this.said.splice(0).filter(line => !line.startsWith('debug'))
  }
}

/** A flow that keeps what is sent on it. */
export class FakeFlow implements ServiceFlow {
  readonly token: number
  readonly remoteAddress = '10.71.0.1'
  readonly remotePort: number
  readonly localPort = 4_567
  maxDatagram = 1_460
  readonly maxPayload = 65_495
  open = true
  state: unknown
  readonly sent: Uint8Array[] = []
  ended: CloseReason | undefined
  readonly #service: () => Service

  /** `number` tells flows apart: the remote port is 40,000 + `number`. */
  constructor(number: number, service: () => Service, token = 0) {
    this.remotePort = 40_000 + number
    this.token = token
    this.#service = service
  }

  send(data: Uint8Array | Batch): number {
    const datagrams = data instanceof Uint8Array ? [data] : [...data]
    for (const datagram of datagrams) this.sent.push(datagram.slice())
    return datagrams.length
  }

  sendBatch(bytes: Uint8Array, segmentSize: number): number {
    for (let at = 0; at < bytes.length; at += segmentSize) this.send(bytes.subarray(at, at + segmentSize))
    return Math.ceil(bytes.length / segmentSize)
  }

  close(reason: CloseReason = 'local'): void {
    if (!this.open) return
    this.open = false
    this.ended = reason
    this.#service().closed(this, reason)
  }
}

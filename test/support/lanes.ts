/** A lane with both of its ends on one thread, and the worker's and the consumer's part played by hand. */

import { Delivery } from '../../src/memory/delivery-ring.js'
import { LaneReader, LaneWriter, laneBytes } from '../../src/memory/lane.js'
import { native } from '../../src/native.js'
import { spanAt } from './spans.js'

export const blockBytes = 262_656
/** Deliveries that a lane of two blocks holds at most. */
export const mostDeliveries = 1024

/** One record as the consumer found it. */
export interface Delivered {
  readonly slot: number
  readonly generation: number
  readonly segmentSize: number
  readonly at: number
  readonly length: number
}

export class TestReader extends LaneReader {
  /** By block: deliveries that were made and not given back. */
  held(): number[] {
    return Array.from(this.issued, (issued, block) => issued - this.released[block])
  }

  /** The oldest delivery. */
  next(): Delivered | undefined {
    const { words } = this.ring
    const record = this.ring.peek()
    if (record < 0) return undefined
    const found = {
      slot: words[record + Delivery.slot],
      generation: words[record + Delivery.generation],
      segmentSize: words[record + Delivery.segmentSize],
      at: words[record + Delivery.at],
      length: words[record + Delivery.length],
    }
    this.ring.release()
    return found
  }

  /** Every delivery that waits. */
  all(): Delivered[] {
    const found: Delivered[] = []
    for (let one = this.next(); one !== undefined; one = this.next()) found.push(one)
    return found
  }

  read({ at, length }: Delivered): Uint8Array {
    return this.bytes.slice(at, at + length)
  }
}

export class TestLane {
  readonly writer: LaneWriter
  readonly reader: TestReader
  /** How often the consumer was woken. */
  wakes = 0
  readonly #source = new Uint8Array(65_536)
  readonly #sourceArena = native.arenaOpen(this.#source)

  constructor(blocks = 2) {
    const capacity = blocks * blockBytes
    const shared = new SharedArrayBuffer(laneBytes(capacity))
    this.writer = new LaneWriter(shared, 0, capacity, () => this.wakes++)
    this.reader = new TestReader(shared, 0, capacity)
  }

  /** Packets as a worker reads them: each behind its headers, at the next cache line. Where their payloads lie. */
  arrive(payloads: readonly Uint8Array[], headers = 52): number[] {
    const { bytes, end } = this.writer
    let { at } = this.writer
    return payloads.map(payload => {
      const from = Math.ceil(at / 64) * 64
      at = from + headers + payload.length
      if (at > end) throw new Error('a packet behind the end of its block')
      bytes.fill(0xee, from, from + headers)
      bytes.set(payload, from + headers)
      return from + headers
    })
  }

  /** Puts what lies in the lane already. */
  putHere(from: number, length: number, { slot = 1, generation = 2, segmentSize = length } = {}): boolean {
    return this.writer.put({ slot, generation }, spanAt(this.writer.arena, from, length, segmentSize))
  }

  /** Puts what lies in other memory, which is used for something else right afterwards. */
  putCopy(payload: Uint8Array, { slot = 1, generation = 2, segmentSize = payload.length } = {}): boolean {
    this.#source.set(payload, 100)
    const put = this.writer.put({ slot, generation }, spanAt(this.#sourceArena, 100, payload.length, segmentSize))
    this.#source.fill(0xdd, 100, 100 + payload.length)
    return put
  }

  /** Puts one packet after the other, in place or copied. */
  putAll(payloads: readonly Uint8Array[], here: boolean, fields = {}): void {
    if (here && !this.writer.makeRoom()) throw new Error('no room')
    const places = here ? this.arrive(payloads) : []
    for (const [i, payload] of payloads.entries()) {
      const put = here ? this.putHere(places[i], payload.length, fields) : this.putCopy(payload, fields)
      if (!put) throw new Error(`packet ${i} was refused`)
    }
  }

  close(): void {
    this.writer.close()
    this.reader.close()
    native.arenaClose(this.#sourceArena)
  }
}

/** One end of a lane in a thread of its own (lane.test.ts). */

import { LaneWriter, readRoom } from '../../src/memory/lane.js'
import { native } from '../../src/native.js'
import { type Delivered, TestReader } from '../support/lanes.js'
import { randomNumbers } from '../support/random.js'
import { spanAt } from '../support/spans.js'
import { answer, meet, threadData, waitUntil } from '../support/threads.js'

export interface LaneTask {
  role: 'produce' | 'consume'
  shared: SharedArrayBuffer
  capacity: number
  packets: number
  seed: number
  ready: Int32Array
}
export interface LaneAnswer {
  /** What went wrong, '' when nothing did. */
  fault: string
  bytes: number
  deliveries: number
  /** How often there was no room, and it was tried again later. */
  refused: number
}

const { role, shared, capacity, packets, seed, ready } = threadData<LaneTask>()
const result: LaneAnswer = { fault: '', bytes: 0, deliveries: 0, refused: 0 }

const byteOf = (datagram: number, i: number) => (datagram * 31 + (datagram >>> 8) + i * 7) & 0xff

interface Packet {
  slot: number
  segmentSize: number
  length: number
  /** Number of its first datagram. */
  first: number
}

/** Both sides draw the same packets: runs of equal ones of a flow, small ones of others, and super-packets. */
const drawPackets = (): (() => Packet) => {
  const next = randomNumbers(seed)
  let slot = 0
  let size = 1
  let first = 0
  return () => {
    if (next() % 8 === 0) slot = next() % 5
    if (next() % 8 === 0) size = 1 + (next() % (next() % 2 === 0 ? 64 : 1460))
    const kind = next() % 16
    const count = kind === 0 ? 1 + (next() % 40) : kind < 4 ? 1 + (next() % 4) : 1
    const last = next() % 8 === 0 ? 1 + (next() % size) : size
    const length = (count - 1) * size + last
    const packet = { slot, segmentSize: Math.min(size, length), length, first }
    first += count
    return packet
  }
}

const write = (bytes: Uint8Array, at: number, { first, segmentSize, length }: Packet): void => {
  for (let datagram = first, from = 0; from < length; datagram++, from += segmentSize) {
    const size = Math.min(segmentSize, length - from)
    for (let i = 0; i < size; i++) bytes[at + from + i] = byteOf(datagram, i)
  }
}

const produce = (): void => {
  const draw = drawPackets()
  const next = randomNumbers(seed + 1)
  const writer = new LaneWriter(shared, 0, capacity, () => {})
  const other = new Uint8Array(65_536)
  const otherArena = native.arenaOpen(other)
  const retried = (attempt: () => boolean, what: string) => {
    const done = waitUntil(() => {
      if (attempt()) return true
      result.refused++
      // The consumer may have nothing else to give back.
      writer.settle()
      return false
    })
    if (!done) result.fault = `no room for ${what}`
  }
  meet(ready)
  for (let sent = 0; sent < packets && result.fault === ''; ) {
    const batch = Array.from({ length: Math.min(1 + (next() % 40), packets - sent) }, draw)
    sent += batch.length
    if (next() % 3 === 0) {
      for (const packet of batch) {
        write(other, 0, packet)
        const { slot, segmentSize, length } = packet
        const span = spanAt(otherArena, 0, length, segmentSize)
        retried(() => writer.put({ slot, generation: 2 }, span), 'a copy')
        other.fill(0xdd, 0, length)
      }
    } else {
      // In place, as many as a read would find room for; then once more.
      for (let done = 0; done < batch.length && result.fault === ''; ) {
        retried(() => writer.makeRoom(), 'a read')
        const places: number[] = []
        let { at } = writer
        for (const packet of batch.slice(done)) {
          at = Math.ceil(at / 64) * 64
          if (writer.end - at < readRoom) break
          writer.bytes.fill(0xee, at, at + 52)
          write(writer.bytes, at + 52, packet)
          places.push(at + 52)
          at += 52 + packet.length
        }
        for (const from of places) {
          const { slot, segmentSize, length } = batch[done++]
          const span = spanAt(writer.arena, from, length, segmentSize)
          retried(() => writer.put({ slot, generation: 2 }, span), 'a delivery')
        }
        if (next() % 2 === 0) writer.settle()
      }
    }
    for (const { length } of batch) result.bytes += length
    if (next() % 2 === 0) writer.settle()
  }
  writer.settle()
}

const consume = (): void => {
  const draw = drawPackets()
  const next = randomNumbers(seed + 2)
  const reader = new TestReader(shared, 0, capacity)
  const held: { delivery: Delivered; bytes: Buffer }[] = []
  let total = 0
  let packet: Packet = { slot: 0, segmentSize: 1, length: 0, first: 0 }
  /** Bytes of `packet` that came already. */
  let came = 0

  const fault = (what: string) => {
    result.fault ||= `packet ${total}: ${what}`
  }
  const release = () => {
    const [{ delivery, bytes }] = held.splice(next() % held.length, 1)
    const { at, length } = delivery
    if (bytes.compare(reader.bytes, at, at + length) !== 0) fault('its bytes changed before it was given back')
    reader.release(at + (next() % length))
  }
  const check = (delivery: Delivered) => {
    const bytes = Buffer.from(reader.read(delivery))
    for (let at = 0; at < bytes.length && result.fault === ''; ) {
      if (came === packet.length) {
        packet = draw()
        came = 0
        total++
      }
      const size = Math.min(packet.segmentSize, packet.length - came)
      const datagram = packet.first + came / packet.segmentSize
      if (packet.slot !== delivery.slot) fault(`flow ${delivery.slot} instead of ${packet.slot}`)
      if (size !== Math.min(delivery.segmentSize, bytes.length - at)) fault(`not a datagram of ${size} bytes`)
      for (let i = 0; i < size; i++) {
        if (bytes[at + i] !== byteOf(datagram, i)) {
          fault(`datagram ${datagram} differs at byte ${i}`)
          break
        }
      }
      at += size
      came += size
    }
    result.bytes += bytes.length
    result.deliveries++
    held.push({ delivery, bytes })
  }
  meet(ready)
  const wait = () => {
    const delivery = reader.next()
    if (delivery !== undefined) check(delivery)
    // What is held may be all that the producer waits for.
    else if (held.length > 0) release()
    else return result.fault !== ''
    return true
  }
  while ((total < packets || came < packet.length) && result.fault === '') {
    if (!waitUntil(wait)) fault('nothing came any more')
    while (held.length > 12 || (held.length > 0 && next() % 4 === 0)) release()
  }
  while (held.length > 0) release()
}

if (role === 'produce') produce()
else consume()
answer(result)

import { Batch } from '../memory/batch.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId, State } from '../memory/flow-table.js'
import { type StackMemory, Switch } from '../memory/shared-stack.js'
import { datagramsIn, Span } from '../memory/span.js'
import type { Tuple } from '../memory/tuple.js'
import { Errno, native } from '../native.js'
import * as checksum from '../wire/checksum.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import { distance } from '../wire/serial.js'
import { headersLength, ipHeaderLength } from '../wire/sizes.js'
import * as tcp from '../wire/tcp.js'
import * as virtio from '../wire/virtio-net.js'
import { ackMayStay } from './ack-policy.js'

/** Bytes of the longest headers. */
const headRoom = virtio.Offset.numBuffers + 2 + ipv6.headerLength + tcp.synHeaderLength
/** Bytes of the largest packet: the limit of IPv4's total length, and of the kernel's super-packets. */
const maxPacket = 65_535

/** The errors of a write after the TUN interface was removed, or the other end of a virtual link closed. */
const gone: ReadonlySet<number> = new Set([Errno.EBADFD, Errno.EBADF, Errno.ENODEV, Errno.EPIPE, Errno.ECONNRESET])

/** The header fields of the packet that is being built. */
class Header implements tcp.Header {
  family = 4
  sourcePort = 0
  destinationPort = 0
  readonly remote = new Int32Array(4)
  flags = 0
  seq = 0
  ack = 0
  /** The IPv4 identification. */
  id = 0
  /** Bytes of payload that will follow. */
  payload = 0
  /** Bytes of payload per segment if the kernel is to cut the packet; 0: it is not. */
  gsoSize = 0

  /** Addresses the packet to the remote end of a tuple, and makes it a segment without payload. */
  address({ family, ports, r0, r1, r2, r3 }: Tuple): void {
    const { remote } = this
    this.#start(family, ports)
    remote[0] = r0
    remote[1] = r1
    remote[2] = r2
    remote[3] = r3
  }

  /** The same for a flow. `base`: index in `words` of its slot. */
  addressFlow(words: Int32Array, base: number): void {
    const { remote } = this
    const from = base + Field.remote
    this.#start(words[base + Field.family], words[base + Field.ports])
    remote[0] = words[from]
    if (this.family === 4) return
    remote[1] = words[from + 1]
    remote[2] = words[from + 2]
    remote[3] = words[from + 3]
  }

  #start(family: number, ports: number): void {
    this.family = family
    this.sourcePort = ports & 0xffff
    this.destinationPort = ports >>> 16
    this.id = 0
    this.payload = 0
    this.gsoSize = 0
  }
}

/**
 * Builds segments and writes them to TUN. Each thread that sends has an Egress of its own. Several threads may send for
 * one flow at the same time.
 */
export class Egress {
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #header = new Header()
  readonly #ipv4 = { totalLength: 0, id: 0, source: 0, destination: 0 }
  readonly #ipv6: { payloadLength: number; source: Int32Array; destination: Int32Array }
  readonly #virtio = { flags: 0, gsoType: 0, hdrLen: 0, gsoSize: 0, csumStart: 0, csumOffset: tcp.Offset.checksum }
  /** The headers as bytes. */
  readonly #head = new Uint8Array(headRoom)
  readonly #headArena: number
  /** The batch for datagrams that lie in one piece. */
  readonly #single = new Batch(1)
  /** The part of a span that is sent as one super-packet. */
  readonly #part = new Span()
  readonly #virtioSize: number
  readonly #switches: Int32Array

  constructor(memory: StackMemory, counters: CounterPage) {
    this.#memory = memory
    this.#counters = counters
    this.#headArena = native.arenaOpen(this.#head)
    this.#virtioSize = memory.shared.device.virtioSize
    this.#switches = memory.switches
    this.#ipv4.source = memory.shared.address4[0]
    this.#ipv6 = { payloadLength: 0, source: memory.shared.address6, destination: this.#header.remote }
  }

  close(): void {
    native.arenaClose(this.#headArena)
    this.#single.close()
  }

  /**
   * The most payload bytes of one super-packet, for a flow of this family. Without offload the limit is the same: then
   * the addon cuts.
   */
  static maxPayload(family: number): number {
    return maxPacket - headersLength(family)
  }

  /**
   * Sends a batch of at most `maxPayload` bytes as one super-packet. Returns the number of datagrams written. When the
   * device refuses some it is lower, and the refused ones are counted. `now` in milliseconds.
   */
  data(flow: FlowId, batch: Batch, now: number): number {
    const { slot } = flow
    const { length, segmentSize } = batch
    const { flows, shared } = this.#memory
    const { words } = flows
    // The coordinator reuses a slot 100 ms after its connection ended, at the earliest. So if the connection ends right
    // after this check, the write below still finds its numbers.
    if (!flows.alive(flow)) return 0
    const base = flows.base(slot)
    const count = datagramsIn(length, segmentSize)
    const header = this.#header
    header.addressFlow(words, base)
    header.flags = tcp.Flag.ack
    header.seq = flows.takeSeq(slot, length)
    header.ack = this.#steppedAck(base, now)
    header.id = flows.takeIpId(slot, count)
    header.payload = length
    if (count > 1) header.gsoSize = segmentSize
    const written = this.#writeData(shared.device.queues[words[base + Field.homeQueue]], this.#build(), batch)
    if (written !== 0) {
      flows.bump(slot, Field.datagramsOut, written)
      flows.bump(slot, Field.bytesOut, written === count ? length : written * segmentSize)
    } else {
      flows.returnSeq(slot, header.seq, length)
    }
    return written
  }

  /** The same for datagrams in one piece. */
  dataOf(flow: FlowId, span: Span, now: number): number {
    const single = this.#single
    single.reset(span.memory, span.bytes, span.length)
    single.add(span)
    return this.data(flow, single, now)
  }

  /**
   * Sends any number of datagrams in one piece, as super-packets with at most `maxBytes` bytes of payload. Returns the
   * number of datagrams written.
   */
  dataCut(flow: FlowId, { memory, bytes, at, length, segmentSize }: Span, maxBytes: number, now: number): number {
    const whole = maxBytes - (maxBytes % segmentSize)
    const part = this.#part
    part.memory = memory
    part.bytes = bytes
    part.segmentSize = segmentSize
    let written = 0
    for (let from = at; from < at + length; from += whole) {
      part.at = from
      part.length = Math.min(whole, at + length - from)
      written += this.dataOf(flow, part, now)
    }
    return written
  }

  /**
   * Sends a bare ACK with the newest ack number. `back` > 0 makes it a challenge or probe: its sequence number lies
   * that far before the number that the peer acknowledged last, so the peer answers.
   */
  ack(slot: number, now: number, back = 0): void {
    const { flows } = this.#memory
    const { words } = flows
    const base = flows.base(slot)
    const ack = Atomics.load(words, base + Field.nextAck)
    Atomics.store(words, base + Field.sentAck, ack)
    Atomics.store(words, base + Field.sentAckAt, now | 0)
    const seq =
      back === 0 ? Atomics.load(words, base + Field.nextSeq) : Atomics.load(words, base + Field.peerAck) - back
    this.#control(base, tcp.Flag.ack, seq >>> 0, ack >>> 0)
    this.#counters[back === 0 ? Counter.acksOut : Counter.challengesOut] += 1
  }

  /** Sends a SYN with sequence number 0. */
  syn(slot: number): void {
    this.#control(this.#memory.flows.base(slot), tcp.Flag.syn, 0, 0)
  }

  /**
   * Sends a RST with the next sequence number. On an established connection it sends an ACK first, because conntrack
   * frees its entry only on a RST that follows an ACK.
   */
  reset(slot: number, now: number): void {
    const { flows } = this.#memory
    if (flows.load(slot, Field.state) === State.established) this.ack(slot, now)
    this.#control(flows.base(slot), tcp.Flag.rst, flows.load(slot, Field.nextSeq) >>> 0, 0)
    this.#counters[Counter.resetsOut] += 1
  }

  /** Sends a segment that belongs to no flow to the remote end of a tuple, on `queue`. */
  answer(queue: number, tuple: Tuple, flags: number, seq: number, ack: number): void {
    const header = this.#header
    header.address(tuple)
    header.flags = flags
    header.seq = seq
    header.ack = ack
    this.#write(this.#memory.shared.device.queues[queue], this.#build())
  }

  /** Sends RST|ACK to the remote end of a tuple whose handshake the coordinator turned down. */
  refuse(queue: number, tuple: Tuple, seq: number, ack: number): void {
    this.answer(queue, tuple, tcp.Flag.rst | tcp.Flag.ack, seq, ack)
    this.#counters[Counter.resetsOut] += 1
  }

  #control(base: number, flags: number, seq: number, ack: number): void {
    const { words } = this.#memory.flows
    const header = this.#header
    header.addressFlow(words, base)
    header.flags = flags
    header.seq = seq
    header.ack = ack
    header.id = Atomics.add(words, base + Field.ipId, 1) & 0xffff
    this.#write(this.#memory.shared.device.queues[words[base + Field.homeQueue]], this.#build())
  }

  /**
   * Writes the first `headLength` bytes of the head, then a batch: as a super-packet if the kernel takes it, else
   * segment by segment. Returns the number of datagrams written.
   */
  #writeData(fd: number, headLength: number, { memory, vecArena, pieces, length, segmentSize }: Batch): number {
    const count = datagramsIn(length, segmentSize)
    const whole = this.#usesHeaders()
    const head = this.#headArena
    let result = whole ? native.writeGather(fd, head, 0, headLength, memory, vecArena, 0, pieces) : 0
    let written = whole && result >= 0 ? count : 0
    const merged = written > 1
    if (!whole || (result < 0 && this.#maybeRefused(result))) {
      const size = this.#virtioSize
      const plain = native.writeSegments(fd, head, 0, headLength, size, memory, vecArena, 0, pieces, segmentSize)
      if (whole && plain > 0) this.#giveUpHeaders(result)
      if (!whole || plain > 0) result = plain
      written = Math.max(plain, 0)
    }
    const counters = this.#counters
    if (written !== 0) {
      counters[Counter.datagramsOut] += written
      counters[Counter.bytesOut] += written === count ? length : written * segmentSize
      counters[Counter.packetsOut] += merged ? 1 : written
      if (merged) counters[Counter.superPacketsOut] += 1
    }
    if (written < count) this.#failed(result < 0 ? result : -Errno.EAGAIN, count - written)
    return written
  }

  /** Writes the first `length` bytes of the head, a packet without payload. */
  #write(fd: number, length: number): void {
    const asks = this.#usesHeaders()
    if (!asks) this.#makePlain(length)
    let result = native.write(fd, this.#headArena, 0, length)
    if (asks && result < 0 && this.#maybeRefused(result)) {
      this.#makePlain(length)
      const plain = native.write(fd, this.#headArena, 0, length)
      if (plain >= 0) {
        this.#giveUpHeaders(result)
        result = plain
      }
    }
    if (result < 0) this.#failed(result, 1)
    else this.#counters[Counter.packetsOut] += 1
  }

  /**
   * Zeroes the virtio-net header of the packet in the head, so that it asks the kernel for nothing, and completes the
   * checksum here. The packet has no payload.
   */
  #makePlain(length: number): void {
    const ip = this.#virtioSize
    if (ip === 0) return
    const head = this.#head
    head.fill(0, 0, ip)
    const tcpAt = ip + ipHeaderLength(head[ip] >>> 4)
    tcp.setChecksum(head, tcpAt, checksum.finish(checksum.sum(head, tcpAt, length - tcpAt, 0)))
  }

  /** Whether packets ask the kernel, by their virtio-net headers, to cut and sum them. */
  #usesHeaders(): boolean {
    return this.#virtioSize !== 0 && this.#switches[Switch.headersRefused] === 0
  }

  /**
   * Whether a write may have failed because of what its virtio-net header asks for. If so, the same packet succeeds
   * without that.
   */
  #maybeRefused(result: number): boolean {
    return result !== -Errno.EAGAIN && result !== -Errno.ENOBUFS && !gone.has(-result)
  }

  /** Makes every thread write plain packets from now on. `result`: -errno of the write that was refused. */
  #giveUpHeaders(result: number): void {
    Atomics.store(this.#switches, Switch.headersRefused, -result)
    this.#counters[Counter.headersRefused] += 1
  }

  /** Counts datagrams that a write did not take. `result`: its -errno. */
  #failed(result: number, datagrams: number): void {
    const errno = -result
    let reason: number = Counter.writeFailed
    if (errno === Errno.EAGAIN || errno === Errno.ENOBUFS) reason = Counter.writeFull
    else if (gone.has(errno)) reason = Counter.deviceGone
    this.#counters[reason] += datagrams
  }

  /** The ack number for a data packet (`ackMayStay`). */
  #steppedAck(base: number, now: number): number {
    const { words } = this.#memory.flows
    const next = Atomics.load(words, base + Field.nextAck)
    const sent = Atomics.load(words, base + Field.sentAck)
    if (next === sent) return sent >>> 0
    const waited = (now - Atomics.load(words, base + Field.sentAckAt)) | 0
    if (ackMayStay(distance(sent, next), waited)) return sent >>> 0
    Atomics.store(words, base + Field.sentAck, next)
    Atomics.store(words, base + Field.sentAckAt, now | 0)
    return next >>> 0
  }

  /**
   * Writes virtio-net, IP and TCP headers into the head. Returns their length.
   *
   * With a virtio-net header the kernel is to complete the TCP checksum, and with `gsoSize` to cut the payload. The
   * checksum field then holds the folded sum of the pseudo-header, not inverted (virtio 1.2 §5.1.6.2). Without a
   * virtio-net header the checksum covers the headers: it is complete if there is no payload.
   */
  #build(): number {
    const header = this.#header
    const head = this.#head
    const ip = this.#virtioSize
    const tcpAt = ip + ipHeaderLength(header.family)
    const headerLength = tcp.emit(head, tcpAt, header)
    const l4Length = headerLength + header.payload
    let pseudo: number
    if (header.family === 4) {
      const fields = this.#ipv4
      fields.totalLength = tcpAt - ip + l4Length
      fields.id = header.id
      fields.destination = header.remote[0]
      ipv4.emit(head, ip, fields)
      pseudo = checksum.pseudo4(head, ip + ipv4.Offset.source, ip + ipv4.Offset.destination, l4Length)
    } else {
      this.#ipv6.payloadLength = l4Length
      ipv6.emit(head, ip, this.#ipv6)
      pseudo = checksum.pseudo6(head, ip + ipv6.Offset.source, ip + ipv6.Offset.destination, l4Length)
    }
    if (ip === 0) {
      tcp.setChecksum(head, tcpAt, checksum.finish(checksum.sum(head, tcpAt, headerLength, pseudo)))
      return tcpAt + headerLength
    }
    tcp.setChecksum(head, tcpAt, checksum.fold(pseudo))
    const fields = this.#virtio
    fields.flags = virtio.Flag.needsCsum
    fields.gsoType = header.gsoSize === 0 ? virtio.Gso.none : header.family === 4 ? virtio.Gso.tcp4 : virtio.Gso.tcp6
    fields.hdrLen = tcpAt - ip + headerLength
    fields.gsoSize = header.gsoSize
    fields.csumStart = tcpAt - ip
    virtio.emit(head, 0, ip, fields)
    return tcpAt + headerLength
  }
}

import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, State } from '../memory/flow-table.js'
import { type StackMemory, Switch } from '../memory/shared-stack.js'
import { Errno, type Memory, native } from '../native.js'
import * as checksum from '../wire/checksum.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import { distance } from '../wire/serial.js'
import { headersLength, ipHeaderLength } from '../wire/sizes.js'
import * as tcp from '../wire/tcp.js'
import * as virtio from '../wire/virtio-net.js'
import type { Tuple } from './messages.js'

/** The ack number in data moves at most once per this many bytes or milliseconds, so that a far-end GRO can merge segments in between (docs/architecture.md). */
const ackStep = 32 * 1024
const ackStepMs = 250

const headRoom = virtio.Offset.numBuffers + 2 + ipv6.headerLength + tcp.synHeaderLength
/** Largest IP packet: both IPv4's total length and the kernel's super-packets end here. */
const maxPacket = 65_535

/** What a write answers once TUN is removed, or the other end of a virtual link closed. */
const gone: ReadonlySet<number> = new Set([Errno.EBADFD, Errno.EBADF, Errno.ENODEV, Errno.EPIPE, Errno.ECONNRESET])

/** Writes segments to TUN from the thread that owns it; any number of threads may write for the same flow. */
export class Egress {
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #head = new Uint8Array(headRoom)
  readonly #headArena: number
  readonly #vec = new Int32Array(2)
  readonly #vecArena: number
  readonly #virtioSize: number
  readonly #switches: Int32Array
  readonly #local4: Int32Array
  readonly #local6: Int32Array

  constructor(memory: StackMemory, counters: CounterPage) {
    this.#memory = memory
    this.#counters = counters
    this.#headArena = native.arenaOpen(this.#head)
    this.#vecArena = native.arenaOpen(new Uint8Array(this.#vec.buffer))
    this.#virtioSize = memory.shared.device.virtioSize
    this.#switches = memory.switches
    this.#local4 = memory.shared.address4
    this.#local6 = memory.shared.address6
  }

  close(): void {
    native.arenaClose(this.#headArena)
    native.arenaClose(this.#vecArena)
  }

  /** Most payload bytes of one super-packet for a flow of this family; without offload the same, cut by software. */
  static maxPayload(family: number): number {
    return maxPacket - headersLength(family)
  }

  /**
   * Sends the datagrams in `pieces` ranges of `body` (pairs at `vecAt` of the arena `vec`): `bytes` in all, `segmentSize` each, the
   * last one possibly shorter; at most `maxPayload` bytes. Answers the datagrams written; fewer when the device refused, and that is counted.
   */
  data(
    slot: number,
    generation: number,
    body: Memory,
    vec: number,
    vecAt: number,
    pieces: number,
    bytes: number,
    segmentSize: number,
    now: number,
  ): number {
    const { flows, shared } = this.#memory
    const { words } = flows
    // A slot rests before it is used again, so this check holds for as long as the write below takes.
    if (!flows.alive(slot, generation)) return 0
    const base = flows.base(slot)
    const count = bytes <= segmentSize ? 1 : Math.ceil(bytes / segmentSize)
    const seq = flows.takeSeq(slot, bytes)
    const id = flows.takeIpId(slot, count)
    const queue = shared.device.queues[words[base + Field.homeQueue]]
    const ack = this.#steppedAck(base, now)
    const headLength = this.#flowHead(base, tcp.Flag.ack, seq, ack, id, bytes, count > 1 ? segmentSize : 0)
    const whole = this.#usesHeaders()
    let result = whole ? native.writeGather(queue, this.#headArena, 0, headLength, body, vec, vecAt, pieces) : 0
    let written = whole && result >= 0 ? count : 0
    let merged = written > 1
    if (!whole || (result < 0 && this.#maybeRefused(result))) {
      const plain = native.writeSegments(
        queue,
        this.#headArena,
        0,
        headLength,
        this.#virtioSize,
        body,
        vec,
        vecAt,
        pieces,
        segmentSize,
      )
      if (whole && plain > 0) this.#giveUpHeaders(result)
      if (!whole || plain > 0) result = plain
      written = Math.max(plain, 0)
      merged = false
    }
    Atomics.store(words, base + Field.lastSent, now | 0)
    const counters = this.#counters
    if (written !== 0) {
      const writtenBytes = written === count ? bytes : written * segmentSize
      flows.bump(slot, Field.datagramsOut, written)
      flows.bump(slot, Field.bytesOut, writtenBytes)
      counters[Counter.datagramsOut] += written
      counters[Counter.bytesOut] += writtenBytes
      if (merged) {
        counters[Counter.packetsOut] += 1
        counters[Counter.superPacketsOut] += 1
      } else {
        counters[Counter.packetsOut] += written
      }
    }
    if (written === 0) flows.returnSeq(slot, seq, bytes)
    if (written < count) this.#failed(result < 0 ? result : -Errno.EAGAIN, count - written)
    return written
  }

  /** Same for one contiguous range. */
  dataAt(
    slot: number,
    generation: number,
    body: Memory,
    at: number,
    bytes: number,
    segmentSize: number,
    now: number,
  ): number {
    this.#vec[0] = at
    this.#vec[1] = bytes
    return this.data(slot, generation, body, this.#vecArena, 0, 1, bytes, segmentSize, now)
  }

  /**
   * Sends the equal datagrams that lie back to back in `body` as super-packets of at most `most` bytes; the last datagram may be
   * shorter. Datagrams written.
   */
  batch(slot: number, generation: number, body: Uint8Array, segmentSize: number, most: number, now: number): number {
    const whole = most - (most % segmentSize)
    let written = 0
    for (let at = 0; at < body.length; at += whole) {
      written += this.dataAt(slot, generation, body, at, Math.min(whole, body.length - at), segmentSize, now)
    }
    return written
  }

  /** A bare ACK with the newest ack number. `back` > 0 makes it a probe: seq lies that far before the last ack received. */
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

  /** A SYN with sequence number 0. */
  syn(slot: number): void {
    this.#control(this.#memory.flows.base(slot), tcp.Flag.syn, 0, 0)
  }

  /**
   * RST at the next sequence number. On an established connection an ACK goes first: conntrack frees an entry only on a RST that
   * follows one.
   */
  reset(slot: number, now: number): void {
    const { flows } = this.#memory
    if (flows.load(slot, Field.state) === State.established) this.ack(slot, now)
    this.#control(flows.base(slot), tcp.Flag.rst, flows.load(slot, Field.nextSeq) >>> 0, 0)
    this.#counters[Counter.resetsOut] += 1
  }

  /** A segment that belongs to no flow: the answer to (family, ports, remote) on `queue`. */
  answer(
    queue: number,
    family: number,
    ports: number,
    remote: Int32Array,
    flags: number,
    seq: number,
    ack: number,
  ): void {
    const length = this.#build(family, ports, remote, 0, flags, seq, ack, 0, 0, 0)
    this.#write(this.#memory.shared.device.queues[queue], length)
  }

  /** RST|ACK to a tuple whose connection was turned down before it existed. */
  refuse(queue: number, tuple: Tuple, seq: number, ack: number): void {
    this.answer(queue, tuple.family, tuple.ports, Int32Array.from(tuple.remote), tcp.Flag.rst | tcp.Flag.ack, seq, ack)
    this.#counters[Counter.resetsOut] += 1
  }

  #control(base: number, flags: number, seq: number, ack: number): void {
    const { words } = this.#memory.flows
    const id = Atomics.add(words, base + Field.ipId, 1) & 0xffff
    const length = this.#flowHead(base, flags, seq, ack, id, 0, 0)
    this.#write(this.#memory.shared.device.queues[words[base + Field.homeQueue]], length)
  }

  /** Writes a packet without payload from the head. */
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

  /** The packet in the head, which has no payload, asks the kernel for nothing any more: its checksum is completed here. */
  #makePlain(length: number): void {
    const ip = this.#virtioSize
    if (ip === 0) return
    const head = this.#head
    head.fill(0, 0, ip)
    const tcpAt = ip + ipHeaderLength(head[ip] >>> 4)
    tcp.setChecksum(head, tcpAt, checksum.finish(checksum.sum(head, tcpAt, length - tcpAt, 0)))
  }

  /** Whether the kernel is left to cut packets and to sum them up. */
  #usesHeaders(): boolean {
    return this.#virtioSize !== 0 && this.#switches[Switch.headersRefused] === 0
  }

  /** Whether a write may have failed because of what its virtio-net header asks for: then the same as a plain packet succeeds. */
  #maybeRefused(result: number): boolean {
    return result !== -Errno.EAGAIN && result !== -Errno.ENOBUFS && !gone.has(-result)
  }

  /** From now on every thread writes plain packets. */
  #giveUpHeaders(result: number): void {
    Atomics.store(this.#switches, Switch.headersRefused, -result)
    this.#counters[Counter.headersRefused] += 1
  }

  #failed(result: number, datagrams: number): void {
    const errno = -result
    let reason: number = Counter.writeFailed
    if (errno === Errno.EAGAIN || errno === Errno.ENOBUFS) reason = Counter.writeFull
    else if (gone.has(errno)) reason = Counter.deviceGone
    this.#counters[reason] += datagrams
  }

  #steppedAck(base: number, now: number): number {
    const { words } = this.#memory.flows
    const next = Atomics.load(words, base + Field.nextAck)
    const sent = Atomics.load(words, base + Field.sentAck)
    if (next === sent) return sent >>> 0
    const waited = (now - Atomics.load(words, base + Field.sentAckAt)) | 0
    if (distance(sent, next) < ackStep && waited < ackStepMs) return sent >>> 0
    Atomics.store(words, base + Field.sentAck, next)
    Atomics.store(words, base + Field.sentAckAt, now | 0)
    return next >>> 0
  }

  #flowHead(
    base: number,
    flags: number,
    seq: number,
    ack: number,
    id: number,
    payload: number,
    gsoSize: number,
  ): number {
    const { words } = this.#memory.flows
    const ports = words[base + Field.ports]
    return this.#build(
      words[base + Field.family],
      ports,
      words,
      base + Field.remote,
      flags,
      seq,
      ack,
      id,
      payload,
      gsoSize,
    )
  }

  /**
   * Writes virtio-net, IP and TCP headers into the head; their length. With `gsoSize` the kernel cuts the payload. Where there is
   * a virtio-net header the TCP checksum is left to the kernel: the field holds the folded pseudo-header sum, not inverted (virtio 1.2
   * §5.1.6.2). Without one, and without payload, it is complete.
   */
  #build(
    family: number,
    ports: number,
    remote: Int32Array,
    remoteAt: number,
    flags: number,
    seq: number,
    ack: number,
    id: number,
    payload: number,
    gsoSize: number,
  ): number {
    const head = this.#head
    const ip = this.#virtioSize
    const tcpAt = ip + ipHeaderLength(family)
    const headerLength = tcp.emit(head, tcpAt, ports & 0xffff, ports >>> 16, seq, ack, flags)
    const l4Length = headerLength + payload
    let pseudo: number
    if (family === 4) {
      ipv4.emit(head, ip, tcpAt - ip + l4Length, id, this.#local4[0], remote[remoteAt])
      pseudo = checksum.pseudo4(head, ip + ipv4.Offset.source, ip + ipv4.Offset.destination, l4Length)
    } else {
      ipv6.emit(head, ip, l4Length, this.#local6, 0, remote, remoteAt)
      pseudo = checksum.pseudo6(head, ip + ipv6.Offset.source, ip + ipv6.Offset.destination, l4Length)
    }
    if (this.#virtioSize === 0) {
      tcp.setChecksum(head, tcpAt, checksum.finish(checksum.sum(head, tcpAt, headerLength, pseudo)))
    } else {
      tcp.setChecksum(head, tcpAt, checksum.fold(pseudo))
      const gso = gsoSize === 0 ? virtio.Gso.none : family === 4 ? virtio.Gso.tcp4 : virtio.Gso.tcp6
      const start = tcpAt - ip
      virtio.emit(
        head,
        0,
        this.#virtioSize,
        virtio.Flag.needsCsum,
        gso,
        start + headerLength,
        gsoSize,
        start,
        tcp.Offset.checksum,
      )
    }
    return tcpAt + headerLength
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { createVirtualLink, type Device, Stack, type StackOptions, type VirtualLinkOptions } from '../../src/index.js'
import { native } from '../../src/native.js'
import type { Address } from '../../src/net/address.js'
import * as checksum from '../../src/wire/checksum.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import * as tcp from '../../src/wire/tcp.js'
import * as virtio from '../../src/wire/virtio-net.js'
import { ACK, frame, long, SYN } from './packets.js'
import type { Family } from './stacks.js'

/** One segment as it left the stack, or as it is to reach it. */
export interface Segment {
  family: Family
  queue: number
  /** IPv4 identification; 0 for IPv6. */
  id: number
  sourcePort: number
  destinationPort: number
  seq: number
  ack: number
  flags: number
  /** TCP options, as hex. */
  options: string
  payload: Uint8Array
  /** Bytes per datagram of a super-packet; 0: it is one datagram. */
  gsoSize: number
}

export type Outgoing = Pick<Segment, 'sourcePort' | 'destinationPort' | 'flags'> & Partial<Segment>

const bytesOf = ({ words }: Address): number[] => words.flatMap(long)

const network = { 4: ipv4, 6: ipv6 } as const
const pseudo = { 4: checksum.pseudo4, 6: checksum.pseudo6 } as const

/** The far end of a stack's link, played by hand: it sends and sees single segments. Checks every checksum it reads. */
export class RawPeer {
  readonly device: Device
  readonly #stackEnd: Device
  readonly #bytes = new Uint8Array(65_536 + 64)
  readonly #virtioSize: 0 | 10 | 12

  /** `device` is this peer's end, `stackEnd` the one that the stack has. */
  constructor(device: Device, stackEnd: Device) {
    this.device = device
    this.#stackEnd = stackEnd
    this.#virtioSize = device.virtioSize
  }

  /** Bytes written, or -errno. */
  send(segment: Outgoing): number {
    const { family = 4, queue = 0, payload = new Uint8Array(0), gsoSize = 0, ...header } = segment
    const [from, to] = [this.device, this.#stackEnd]
    const gsoType = gsoSize === 0 ? virtio.Gso.none : family === 4 ? virtio.Gso.tcp4 : virtio.Gso.tcp6
    const bytes = frame({
      family,
      seq: header.seq ?? 0,
      ack: header.ack ?? 0,
      flags: header.flags,
      sourcePort: header.sourcePort,
      destinationPort: header.destinationPort,
      // What a stock peer says in a SYN: window scale 14.
      options: (header.flags & SYN) === 0 ? [] : [1, 3, 3, 14],
      payload,
      ...(family === 4
        ? { ip4: { source: from.stackAddress!.words[0], destination: to.stackAddress!.words[0] } }
        : { ip6: { source: bytesOf(from.stackAddress6!), destination: bytesOf(to.stackAddress6!) } }),
      virtioSize: this.#virtioSize,
      virtio: { gsoType, gsoSize, hdrLen: family === 4 ? 40 : 60 },
    })
    return native.write(this.device.queues[queue], bytes, 0, bytes.length)
  }

  /** The next segment that waits on any queue. */
  poll(): Segment | undefined {
    for (const [queue, fd] of this.device.queues.entries()) {
      const length = native.read(fd, this.#bytes, 0, this.#bytes.length)
      if (length > 0) return this.#parse(queue, length)
    }
    return undefined
  }

  /** The next segment that `matches`; others are left behind. Fails naming `what` after `patience` milliseconds. */
  async next(what: string, matches: (s: Segment) => boolean = () => true, patience = 10_000): Promise<Segment> {
    const end = performance.now() + patience
    for (;;) {
      const segment = this.poll()
      if (segment === undefined) {
        if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`)
        await sleep(1)
      } else if (matches(segment)) return segment
    }
  }

  /** Everything that comes within `ms` milliseconds. */
  async during(ms: number): Promise<Segment[]> {
    const end = performance.now() + ms
    const seen: Segment[] = []
    while (performance.now() < end) {
      const segment = this.poll()
      if (segment !== undefined) seen.push(segment)
      else await sleep(1)
    }
    return seen
  }

  /** Opens a connection to a port of the stack, as a stock client would. */
  async connect(destinationPort: number, sourcePort = 40_000, family: Family = 4, queue = 0): Promise<RawFlow> {
    const tuple = { family, queue, sourcePort, destinationPort }
    this.send({ ...tuple, flags: SYN })
    const synAck = await this.next('SYN+ACK', s => s.flags === (SYN | ACK) && s.destinationPort === sourcePort)
    const flow = new RawFlow(this, tuple, 1, (synAck.seq + 1) >>> 0)
    flow.send({})
    return flow
  }

  /** Answers the stack's next SYN with initial sequence number `isn`, and waits for the last ACK. */
  async accept(isn = 0): Promise<RawFlow> {
    const syn = await this.next('SYN', s => s.flags === SYN)
    const flow = new RawFlow(
      this,
      { family: syn.family, queue: syn.queue, sourcePort: syn.destinationPort, destinationPort: syn.sourcePort },
      isn,
      1,
    )
    flow.send({ flags: SYN | ACK })
    flow.seq = (isn + 1) >>> 0
    await this.next('final ACK', s => s.flags === ACK && s.sourcePort === syn.sourcePort)
    return flow
  }

  #parse(queue: number, length: number): Segment {
    const b = this.#bytes
    const ip = this.#virtioSize
    const family = b[ip] >>> 4 === 4 ? 4 : 6
    const headers = network[family].check(b, ip, length)
    const at = ip + headers
    const header = headers < 0 ? headers : tcp.check(b, at, length)
    if (header < 0) throw new Error(`the stack sent a packet with fault ${header}`)
    const { source, destination } = network[family].Offset
    const partial = pseudo[family](b, ip + source, ip + destination, length - at)
    const delegated = ip !== 0 && (virtio.flags(b, 0) & virtio.Flag.needsCsum) !== 0
    const right = delegated
      ? tcp.checksum(b, at) === checksum.fold(partial) && virtio.csumStart(b, 0) === headers
      : tcp.checksumValid(b, at, length, partial)
    if (!right) throw new Error('the stack sent a wrong TCP checksum')
    return {
      family,
      queue,
      id: family === 4 ? ipv4.id(b, ip) : 0,
      sourcePort: tcp.sourcePort(b, at),
      destinationPort: tcp.destinationPort(b, at),
      seq: tcp.seq(b, at),
      ack: tcp.ack(b, at),
      flags: tcp.flags(b, at),
      options: Buffer.from(b.subarray(at + tcp.headerLength, at + header)).toString('hex'),
      payload: b.slice(at + header, length),
      gsoSize: ip === 0 ? 0 : virtio.gsoSize(b, 0),
    }
  }
}

/** A connection of a raw peer: `seq` is its next number, `ack` the next one it expects. */
export class RawFlow {
  readonly peer: RawPeer
  readonly tuple: Pick<Segment, 'family' | 'queue' | 'sourcePort' | 'destinationPort'>
  seq: number
  ack: number

  constructor(peer: RawPeer, tuple: RawFlow['tuple'], seq: number, ack: number) {
    this.peer = peer
    this.tuple = tuple
    this.seq = seq
    this.ack = ack
  }

  /** Sends a segment, a bare ACK unless told otherwise; `seq` does not move. */
  send(fields: Partial<Segment>): number {
    return this.peer.send({ ...this.tuple, flags: ACK, seq: this.seq, ack: this.ack, ...fields })
  }

  /** Sends datagrams (one, or with `gsoSize` several equal ones) and moves on. */
  data(payload: Uint8Array | string, fields: Partial<Segment> = {}): void {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const result = this.send({ payload: bytes, ...fields })
    if (result < 0) throw new Error(`write: ${result}`)
    this.seq = (this.seq + bytes.length) >>> 0
  }

  /** Whether a segment came on this connection. */
  readonly owns = (s: Segment): boolean =>
    s.sourcePort === this.tuple.destinationPort && s.destinationPort === this.tuple.sourcePort

  /** The next segment of this connection that `matches`. */
  next(what: string, matches: (s: Segment) => boolean = () => true, patience?: number): Promise<Segment> {
    return this.peer.next(what, s => this.owns(s) && matches(s), patience)
  }
}

/** A stack whose peer is played by hand. It has the link's end `a`: 192.168.200.2 and fcc8::2. */
export const openRaw = async (
  t: Test,
  link: VirtualLinkOptions = {},
  options: StackOptions = {},
): Promise<{ stack: Stack; peer: RawPeer }> => {
  const [stackEnd, rawEnd] = createVirtualLink(link)
  const stack = await Stack.open({ ...options, device: stackEnd })
  t.teardown(async () => {
    await stack.close()
    rawEnd.close()
  })
  return { stack, peer: new RawPeer(rawEnd, stackEnd) }
}

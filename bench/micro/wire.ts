/** Parsing, writing and summing of packets: what every segment costs before anything is done with its payload. */
import { bench, do_not_optimize, group } from 'mitata'
import type { SharedStack } from '../../src/memory/shared-stack.js'
import { native } from '../../src/native.js'
import { Packet } from '../../src/path/packet.js'
import { accepted, Classifier } from '../../src/path/segment.js'
import * as checksum from '../../src/wire/checksum.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import * as tcp from '../../src/wire/tcp.js'
import * as virtio from '../../src/wire/virtio-net.js'

const VIRTIO = 12
const PAYLOAD = 1400
const SUPER_PACKET = 65_495
const remote = 0xc0a8c802 | 0
const local = 0xc0a8c902 | 0

/** Writes one IPv4 segment as a TUN device delivers it. Answers its length. */
const emit = (b: Uint8Array, payload: number, segmentSize: number, flags: number): number => {
  const ip = VIRTIO
  const at = ip + ipv4.minimumHeaderLength
  const l4 = tcp.headerLength + payload
  virtio.emit(b, 0, VIRTIO, {
    flags,
    gsoType: segmentSize < payload ? virtio.Gso.tcp4 : virtio.Gso.none,
    hdrLen: at - ip + tcp.headerLength,
    gsoSize: segmentSize,
    csumStart: at - ip,
    csumOffset: tcp.Offset.checksum,
  })
  ipv4.emit(b, ip, { totalLength: at - ip + l4, id: 7, source: remote, destination: local })
  tcp.emit(b, at, { sourcePort: 50_000, destinationPort: 4567, seq: 1000, ack: 2000, flags: tcp.Flag.ack })
  const pseudo = checksum.pseudo4(b, ip + ipv4.Offset.source, ip + ipv4.Offset.destination, l4)
  tcp.setChecksum(b, at, ~checksum.sum(b, at, l4, pseudo) & 0xffff)
  return at + l4
}

// The classifier asks for the addresses of the device and the stack, and for nothing else.
const stack = {
  device: { queues: [], virtioSize: VIRTIO, mtu: 1500 },
  address4: Int32Array.of(local, 0, 0, 0),
  address6: new Int32Array(4),
  has4: true,
  has6: false,
} as unknown as SharedStack
const classifier = new Classifier(stack)

const packet = (payload: number, flags: number): Packet => {
  const packet = new Packet()
  packet.bytes = new Uint8Array(VIRTIO + 40 + payload)
  packet.memory = native.arenaOpen(packet.bytes)
  packet.length = emit(packet.bytes, payload, PAYLOAD, flags)
  return packet
}

group('parse', () => {
  const trusted = packet(PAYLOAD, virtio.Flag.needsCsum)
  const summed = packet(PAYLOAD, 0)
  const merged = packet(SUPER_PACKET - (SUPER_PACKET % PAYLOAD), virtio.Flag.needsCsum)
  const parse = (packet: Packet): number => classifier.parse(packet)
  if ([trusted, summed, merged].some(packet => parse(packet) !== accepted)) throw new Error('a packet is refused')
  bench('IPv4, 1,400 bytes, checksum vouched for', () => do_not_optimize(parse(trusted)))
  bench('IPv4, 1,400 bytes, checksum verified', () => do_not_optimize(parse(summed)))
  bench('IPv4, super-packet of 46 datagrams', () => do_not_optimize(parse(merged)))
})

group('emit', () => {
  const bytes = new Uint8Array(128)
  const gso = { flags: 1, gsoType: 1, hdrLen: 40, gsoSize: 1400, csumStart: 20, csumOffset: 16 }
  const ip = { totalLength: 1440, id: 7, source: remote, destination: local }
  const ip6 = { payloadLength: 1420, source: new Int32Array(4), destination: Int32Array.of(1, 2, 3, 4) }
  const header = { sourcePort: 4567, destinationPort: 50_000, seq: 1, ack: 2, flags: tcp.Flag.ack }
  bench('virtio-net header', () => do_not_optimize(virtio.emit(bytes, 0, VIRTIO, gso)))
  bench('IPv4 header with checksum', () => do_not_optimize(ipv4.emit(bytes, 12, ip)))
  bench('IPv6 header', () => do_not_optimize(ipv6.emit(bytes, 12, ip6)))
  bench('TCP header', () => do_not_optimize(tcp.emit(bytes, 52, header)))
})

group('checksum', () => {
  const bytes = new Uint8Array(65_536).map((_, i) => i * 7)
  const arena = native.arenaOpen(bytes)
  for (const size of [40, 1400, 65_495]) {
    const text = size.toLocaleString('en-US')
    bench(`${text} bytes, JavaScript`, () => do_not_optimize(checksum.sum(bytes, 0, size)))
    bench(`${text} bytes, addon`, () => do_not_optimize(native.checksum(arena, 0, size, 0)))
  }
})

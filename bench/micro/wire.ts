/** Parsing, writing and summing of packets: what every segment costs before anything is done with its payload. */
import { bench, do_not_optimize, group } from 'mitata'
import type { SharedStack } from '../../src/memory/shared-stack.js'
import { native } from '../../src/native.js'
import { Classifier } from '../../src/path/segment.js'
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

/** Writes one IPv4 segment as a TUN device delivers it; its length. */
const emit = (b: Uint8Array, payload: number, segmentSize: number, flags: number): number => {
  const ip = VIRTIO
  const at = ip + ipv4.minimumHeaderLength
  const l4 = tcp.headerLength + payload
  const gso = segmentSize < payload ? virtio.Gso.tcp4 : virtio.Gso.none
  virtio.emit(b, 0, VIRTIO, flags, gso, at - ip + tcp.headerLength, segmentSize, at - ip, tcp.Offset.checksum)
  ipv4.emit(b, ip, at - ip + l4, 7, remote, local)
  tcp.emit(b, at, 50_000, 4567, 1000, 2000, tcp.Flag.ack)
  const pseudo = checksum.pseudo4(b, ip + ipv4.Offset.source, ip + ipv4.Offset.destination, l4)
  tcp.setChecksum(b, at, ~checksum.sum(b, at, l4, pseudo) & 0xffff)
  return at + l4
}

// The classifier asks for the device's and the stack's addresses, nothing else.
const stack = {
  device: { queues: [], virtioSize: VIRTIO, mtu: 1500 },
  address4: Int32Array.of(local, 0, 0, 0),
  address6: new Int32Array(4),
  has4: true,
  has6: false,
} as unknown as SharedStack
const classifier = new Classifier(stack)

const packet = (payload: number, flags: number): { bytes: Uint8Array; arena: number; length: number } => {
  const bytes = new Uint8Array(VIRTIO + 40 + payload)
  const length = emit(bytes, payload, PAYLOAD, flags)
  return { bytes, arena: native.arenaOpen(bytes), length }
}

group('parse', () => {
  const trusted = packet(PAYLOAD, virtio.Flag.needsCsum)
  const summed = packet(PAYLOAD, 0)
  const merged = packet(SUPER_PACKET - (SUPER_PACKET % PAYLOAD), virtio.Flag.needsCsum)
  const parse = ({ bytes, arena, length }: typeof trusted): number => classifier.parse(bytes, arena, 0, length)
  if (parse(trusted) !== -1 || parse(summed) !== -1 || parse(merged) !== -1) throw new Error('a packet is refused')
  bench('IPv4, 1,400 bytes, checksum vouched for', () => do_not_optimize(parse(trusted)))
  bench('IPv4, 1,400 bytes, checksum verified', () => do_not_optimize(parse(summed)))
  bench('IPv4, super-packet of 46 datagrams', () => do_not_optimize(parse(merged)))
})

group('emit', () => {
  const bytes = new Uint8Array(128)
  const local6 = new Int32Array(4)
  const remote6 = Int32Array.of(1, 2, 3, 4)
  bench('virtio-net header', () => virtio.emit(bytes, 0, VIRTIO, 1, 1, 40, 1400, 20, 16))
  bench('IPv4 header with checksum', () => do_not_optimize(ipv4.emit(bytes, 12, 1440, 7, remote, local)))
  bench('IPv6 header', () => do_not_optimize(ipv6.emit(bytes, 12, 1420, local6, 0, remote6, 0)))
  bench('TCP header', () => do_not_optimize(tcp.emit(bytes, 52, 4567, 50_000, 1, 2, tcp.Flag.ack)))
})

group('checksum', () => {
  const bytes = new Uint8Array(65_536).map((_, i) => i * 7)
  const arena = native.arenaOpen(bytes)
  for (const size of [40, 1400, 65_495]) {
    const text = size.toLocaleString('en-US')
    bench(`${text} bytes, JavaScript`, () => do_not_optimize(checksum.sum(bytes, 0, size)))
    bench(`${text} bytes, addon`, () => do_not_optimize(native.checksum(arena, 0, size, 0)))
  }
  bench('one word changed (RFC 1624)', () => do_not_optimize(checksum.update(0x1234, 0x5678, 0x9abc)))
})

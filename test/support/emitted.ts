/** Frames as src/ wrote them. `readFrame` takes them apart with src/wire, and throws on anything that docs/protocol.md would not have. */
import * as checksum from '../../src/wire/checksum.js'
import { faultNames } from '../../src/wire/fault.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import * as tcp from '../../src/wire/tcp.js'
import * as virtio from '../../src/wire/virtio-net.js'
import { flagNames } from './flag-names.js'
import { local4, local6, remote4, remote6, type VirtioFields, type VirtioSize } from './packets.js'

/** One emitted frame, taken apart. */
export interface Emitted {
  family: 4 | 6
  /** IPv4 identification; 0 for IPv6. */
  id: number
  /** 'SYN|ACK'. */
  flags: string
  /** remote port << 16 | local port, unsigned, seen from the stack that wrote it. */
  ports: number
  seq: number
  ack: number
  /** TCP header with its options. */
  tcpHeader: Uint8Array
  payload: Uint8Array
  virtio: Required<VirtioFields>
}

const expect = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(`emitted frame: ${what}`)
}
const length = (checked: number): number => {
  expect(checked >= 0, faultNames[~checked])
  return checked
}

export const readFrame = (b: Uint8Array, virtioSize: VirtioSize): Emitted => {
  const ip = virtioSize === 0 ? 0 : length(virtio.check(b, 0, b.length, virtioSize))
  const four = b[ip] >>> 4 === 4
  const ipLength = length(four ? ipv4.check(b, ip, b.length) : ipv6.check(b, ip, b.length))
  expect(ipLength === (four ? 20 : 40), 'IP options')
  const at = ip + ipLength
  const end = four ? ip + ipv4.totalLength(b, ip) : at + ipv6.payloadLength(b, ip)
  expect(end === b.length, 'length of IP packet and of frame differ')
  if (four) expect(ipv4.ttl(b, ip) === 64 && ipv4.fragment(b, ip) === 0x4000 && b[ip + 1] === 0, 'DF, TTL 64, TOS 0')
  else expect(ipv6.hopLimit(b, ip) === 64 && (b[ip] & 15) === 0 && ipv6.flowLabel(b, ip) === 0, 'hop limit 64')
  const addresses = four
    ? [ipv4.source(b, ip), ipv4.destination(b, ip)]
    : Array.from({ length: 8 }, (_, i) => ipv6.word(b, ip, i))
  expect(`${addresses}` === `${four ? [local4, remote4] : [...local6, ...remote6]}`, `addresses ${addresses}`)
  const tcpLength = length(tcp.check(b, at, end))
  expect(tcp.window(b, at) === 65_535 && tcp.urgent(b, at) === 0, 'window 65535, urgent 0')
  const pseudo = four ? checksum.pseudo4(b, ip + 12, ip + 16, end - at) : checksum.pseudo6(b, ip + 8, ip + 24, end - at)
  const complete = virtioSize === 0 || (virtio.flags(b, 0) & virtio.Flag.needsCsum) === 0
  if (complete) expect(tcp.checksumValid(b, at, end, pseudo), 'TCP checksum')
  else expect(tcp.checksum(b, at) === pseudo, 'the field holds the pseudo-header sum, not inverted')
  return {
    family: four ? 4 : 6,
    id: four ? ipv4.id(b, ip) : 0,
    flags: flagNames(tcp.flags(b, at)),
    ports: ((tcp.destinationPort(b, at) << 16) | tcp.sourcePort(b, at)) >>> 0,
    seq: tcp.seq(b, at),
    ack: tcp.ack(b, at),
    tcpHeader: b.slice(at, at + tcpLength),
    payload: b.slice(at + tcpLength, end),
    virtio: {
      flags: virtioSize && virtio.flags(b, 0),
      gsoType: virtioSize && b[1],
      hdrLen: virtioSize && virtio.hdrLen(b, 0),
      gsoSize: virtioSize && virtio.gsoSize(b, 0),
      csumStart: virtioSize && virtio.csumStart(b, 0),
      csumOffset: virtioSize && virtio.csumOffset(b, 0),
    },
  }
}

/** 'ACK 100 201', with ' +5' for five bytes of payload: flags, seq, ack. */
export const summary = ({ flags, seq, ack, payload }: Emitted): string =>
  `${flags} ${seq} ${ack}${payload.length === 0 ? '' : ` +${payload.length}`}`

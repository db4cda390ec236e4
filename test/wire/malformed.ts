/** Malformed frames and those that only look so, by name, with what must become of them. */

import {
  extension,
  type Ip4Fields,
  type Ip6Fields,
  long,
  packet4,
  packet6,
  type TcpFields,
} from '../support/packets.js'
import type { FaultName } from './naive.js'

export const ones = (length: number): number[] => new Array<number>(length).fill(1)
const v4 = (fields: Ip4Fields, tcp: TcpFields = { payload: [1, 2, 3] }): number[] => [...packet4(fields, tcp)]
const v6 = (fields: Ip6Fields, tcp: TcpFields = { payload: [1, 2, 3] }): number[] => [...packet6(fields, tcp)]
const segment = (fields: TcpFields): number[] => [...packet4({}, fields)]
/** A header of ten bytes. */
export const virtio = (type: number, gsoSize: number, flags = 0, hdrLen = 40): number[] => [
  flags,
  type,
  hdrLen & 0xff,
  hdrLen >>> 8,
  gsoSize & 0xff,
  gsoSize >>> 8,
  20,
  0,
  16,
  0,
]
const altered = (kind: number, at: number, value: number): number[] => {
  const header = extension(kind)
  header.bytes[at] = value
  return v6({ extensions: [header] })
}
const address6 = (...words: number[]): number[] => words.flatMap(long)

export interface Malformed {
  name: string
  bytes: number[]
  /** 'ok' or the fault. */
  expected: FaultName | 'ok'
  virtioSize?: number
}
export const malformed: readonly Malformed[] = [
  { name: 'frame: empty', bytes: [], expected: 'frameTooShort' },
  { name: 'frame: 1 byte', bytes: [0x45], expected: 'frameTooShort' },
  { name: 'frame: 19 bytes', bytes: v4({}).slice(0, 19), expected: 'frameTooShort' },
  { name: 'frame: 39 bytes of v6', bytes: v6({}).slice(0, 39), expected: 'frameTooShort' },
  ...[0, 5, 15].map(version => ({
    name: `frame: IP version ${version}`,
    bytes: v4({ version }),
    expected: 'ipVersion' as const,
  })),
  { name: 'frame: virtio header only', bytes: virtio(0, 0), expected: 'frameTooShort', virtioSize: 10 },
  { name: 'frame: virtio header cut', bytes: virtio(0, 0).slice(0, 9), expected: 'frameTooShort', virtioSize: 10 },
  {
    name: 'frame: gso_size 0 with gso_type',
    bytes: [...virtio(1, 0), ...v4({})],
    expected: 'virtioGso',
    virtioSize: 10,
  },
  { name: 'frame: unknown gso_type', bytes: [...virtio(2, 9), ...v4({})], expected: 'virtioGso', virtioSize: 10 },
  {
    name: 'frame: hdr_len past the end',
    bytes: [...virtio(1, 9, 0, 0xffff), ...v4({})],
    expected: 'ok',
    virtioSize: 10,
  },
  {
    name: 'frame: NEEDS_CSUM, checksum is a partial sum',
    bytes: [...virtio(1, 9, 1), ...segment({ checksum: 0 })],
    expected: 'ok',
    virtioSize: 10,
  },
  {
    name: 'frame: DATA_VALID',
    bytes: [...virtio(0, 0, 2), ...segment({ checksum: 0 })],
    expected: 'ok',
    virtioSize: 10,
  },
  ...[0, 1, 2, 3, 4].map(headerLength => ({
    name: `IPv4: IHL ${headerLength}`,
    bytes: v4({ headerLength }),
    expected: 'ipv4HeaderLength' as const,
  })),
  { name: 'IPv4: IHL past the end', bytes: v4({ headerLength: 15 }), expected: 'ipv4HeaderLength' },
  { name: 'IPv4: IHL 15 with options', bytes: v4({ options: ones(40) }), expected: 'ok' },
  { name: 'IPv4: total length < IHL', bytes: v4({ totalLength: 19 }), expected: 'ipv4TotalLength' },
  { name: 'IPv4: total length > read', bytes: v4({ totalLength: 44 }), expected: 'ipv4TotalLength' },
  { name: 'IPv4: trailing padding', bytes: [...v4({}), 0, 0, 0], expected: 'ok' },
  { name: 'IPv4: MF', bytes: v4({ fragment: 0x2000 }), expected: 'ipv4Fragment' },
  { name: 'IPv4: fragment offset', bytes: v4({ fragment: 1 }), expected: 'ipv4Fragment' },
  { name: 'IPv4: UDP', bytes: v4({ protocol: 17 }), expected: 'ipv4Protocol' },
  { name: 'IPv4: bad header checksum', bytes: v4({ checksumError: 1 }), expected: 'ipv4Checksum' },
  { name: 'IPv4: source multicast', bytes: v4({ source: 0xe0000001 }), expected: 'sourceAddress' },
  { name: 'IPv4: source broadcast', bytes: v4({ source: 0xffffffff }), expected: 'sourceAddress' },
  { name: 'IPv4: source 0.0.0.0', bytes: v4({ source: 0 }), expected: 'sourceAddress' },
  { name: 'IPv4: source loopback', bytes: v4({ source: 0x7f000001 }), expected: 'sourceAddress' },
  { name: 'IPv6: payload length 0', bytes: v6({ payloadLength: 0 }), expected: 'ipv6PayloadLength' },
  { name: 'IPv6: payload length > read', bytes: v6({ payloadLength: 24 }), expected: 'ipv6PayloadLength' },
  { name: 'IPv6: payload length < TCP', bytes: v6({ payloadLength: 19 }), expected: 'tcpTooShort' },
  { name: 'IPv6: trailing padding', bytes: [...v6({}), 0, 0, 0], expected: 'ok' },
  { name: 'IPv6: hop-by-hop', bytes: v6({ extensions: [extension(0)] }), expected: 'ok' },
  { name: 'IPv6: routing', bytes: v6({ extensions: [extension(43)] }), expected: 'ok' },
  { name: 'IPv6: routing type 0', bytes: altered(43, 2, 0), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: routing, segments left', bytes: altered(43, 3, 1), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: fragment', bytes: v6({ extensions: [extension(44)] }), expected: 'ipv6Fragment' },
  { name: 'IPv6: 8 chained', bytes: v6({ extensions: new Array(8).fill(extension(60)) }), expected: 'ok' },
  {
    name: 'IPv6: 9 chained',
    bytes: v6({ extensions: new Array(9).fill(extension(60)) }),
    expected: 'ipv6ExtensionHeader',
  },
  { name: 'IPv6: header past the end', bytes: altered(60, 1, 9), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: authentication header', bytes: v6({ extensions: [extension(51)] }), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: UDP', bytes: v6({ protocol: 17 }), expected: 'ipv6Protocol' },
  { name: 'IPv6: source unspecified', bytes: v6({ source: address6(0, 0, 0, 0) }), expected: 'sourceAddress' },
  { name: 'IPv6: source loopback', bytes: v6({ source: address6(0, 0, 0, 1) }), expected: 'sourceAddress' },
  { name: 'IPv6: source multicast', bytes: v6({ source: address6(0xff020000, 0, 0, 1) }), expected: 'sourceAddress' },
  { name: 'IPv6: source mapped', bytes: v6({ source: address6(0, 0, 0xffff, 9) }), expected: 'sourceAddress' },
  ...[0, 13, 19].map(cut => ({ name: `TCP: ${cut} bytes`, bytes: segment({ cut }), expected: 'tcpTooShort' as const })),
  ...[0, 1, 2, 3, 4].map(dataOffset => ({
    name: `TCP: data offset ${dataOffset}`,
    bytes: segment({ dataOffset }),
    expected: 'tcpDataOffset' as const,
  })),
  { name: 'TCP: data offset past the end', bytes: segment({ dataOffset: 6 }), expected: 'tcpDataOffset' },
  { name: 'TCP: data offset 15', bytes: segment({ options: ones(40) }), expected: 'ok' },
  { name: 'TCP: option length 0', bytes: segment({ options: [5, 0, 0, 0] }), expected: 'tcpOptions' },
  { name: 'TCP: option length 1', bytes: segment({ options: [5, 1, 0, 0] }), expected: 'tcpOptions' },
  { name: 'TCP: option past the end', bytes: segment({ options: [5, 5, 0, 0] }), expected: 'tcpOptions' },
  { name: 'TCP: null flags', bytes: segment({ flags: 0 }), expected: 'tcpFlags' },
  { name: 'TCP: SYN+FIN', bytes: segment({ flags: 3 }), expected: 'tcpFlags' },
  { name: 'TCP: SYN+RST', bytes: segment({ flags: 6 }), expected: 'tcpFlags' },
  { name: 'TCP: all flags', bytes: segment({ flags: 0xff }), expected: 'tcpFlags' },
  { name: 'TCP: FIN without ACK', bytes: segment({ flags: 1 }), expected: 'tcpFlags' },
  { name: 'TCP: SYN with payload', bytes: segment({ flags: 2, payload: [1] }), expected: 'ok' },
  { name: 'TCP: RST with payload', bytes: segment({ flags: 4, payload: [1] }), expected: 'ok' },
  { name: 'TCP: FIN with payload', bytes: segment({ flags: 0x11, payload: [1] }), expected: 'ok' },
  { name: 'TCP: checksum off by one bit', bytes: segment({ checksumError: 0x100 }), expected: 'tcpChecksum' },
  { name: 'TCP: checksum 0', bytes: segment({ checksum: 0 }), expected: 'tcpChecksum' },
  { name: 'TCP: checksum 0xffff', bytes: segment({ checksum: 0xffff }), expected: 'tcpChecksum' },
  { name: 'TCP over IPv6: checksum off by one bit', bytes: v6({}, { checksumError: 1 }), expected: 'tcpChecksum' },
  { name: 'TCP: source port 0', bytes: segment({ sourcePort: 0 }), expected: 'tcpPort' },
  { name: 'TCP: destination port 0', bytes: segment({ destinationPort: 0 }), expected: 'tcpPort' },
  { name: 'TCP: urgent pointer past the end', bytes: segment({ flags: 0x30, urgent: 0xffff }), expected: 'ok' },
  { name: 'state: LAND is not a parse fault', bytes: v4({ source: 9e8, destination: 9e8 }), expected: 'ok' },
]

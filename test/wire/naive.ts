/** A parser of frames that is slow and obviously right. */
import type { Fault } from '../../src/wire/fault.js'
import { long, naiveSum, word } from '../support/packets.js'

export interface Parsed {
  source: string
  destination: string
  sourcePort: number
  destinationPort: number
  seq: number
  ack: number
  flags: number
  payload: number[]
  segmentSize: number
}
export type FaultName = keyof typeof Fault

/** Bytes that can only be consumed from the front; too few is a fault of the reader's choice. */
class Cursor {
  readonly bytes: number[]
  constructor(bytes: number[]) {
    this.bytes = bytes
  }
  take(count: number, fault: FaultName): number[] {
    if (count > this.bytes.length) throw new Refused(fault)
    return this.bytes.splice(0, count)
  }
}
class Refused extends Error {
  readonly fault: FaultName
  constructor(fault: FaultName) {
    super(fault)
    this.fault = fault
  }
}
const refuse = (when: boolean, fault: FaultName): void => {
  if (when) throw new Refused(fault)
}
const number = (bytes: number[]): number => bytes.reduce((n, byte) => n * 256 + byte, 0)

const naiveOptions6 = (bytes: number[]): void => {
  const options = new Cursor([...bytes])
  while (options.bytes.length > 0) {
    const [type] = options.take(1, 'ipv6ExtensionHeader')
    if (type === 0) continue
    refuse(type >= 64, 'ipv6ExtensionHeader')
    const [length] = options.take(1, 'ipv6ExtensionHeader')
    options.take(length, 'ipv6ExtensionHeader')
  }
}

const naiveOptionsTcp = (bytes: number[]): void => {
  const options = new Cursor([...bytes])
  while (options.bytes.length > 0) {
    const [kind] = options.take(1, 'tcpOptions')
    if (kind === 0) return
    if (kind === 1) continue
    const [length] = options.take(1, 'tcpOptions')
    refuse(length < 2, 'tcpOptions')
    options.take(length - 2, 'tcpOptions')
  }
}

const naiveTcp = (bytes: number[], pseudo: number[], trusted: boolean) => {
  const rest = new Cursor([...bytes])
  const head = rest.take(20, 'tcpTooShort')
  const words = Math.floor(head[12] / 16)
  refuse(words < 5, 'tcpDataOffset')
  const options = rest.take(words * 4 - 20, 'tcpDataOffset')
  const sourcePort = number(head.slice(0, 2))
  const destinationPort = number(head.slice(2, 4))
  refuse(sourcePort === 0 || destinationPort === 0, 'tcpPort')
  const [ack, , rst, syn, fin] = [...(head[13] % 32).toString(2).padStart(5, '0')].map(bit => bit === '1')
  refuse([syn, fin, rst].filter(Boolean).length > 1, 'tcpFlags')
  refuse(!syn && !rst && !ack, 'tcpFlags')
  naiveOptionsTcp(options)
  refuse(!trusted && naiveSum([...pseudo, ...bytes]) !== 0xffff, 'tcpChecksum')
  return {
    sourcePort,
    destinationPort,
    seq: number(head.slice(4, 8)),
    ack: number(head.slice(8, 12)),
    flags: head[13],
    payload: rest.bytes,
  }
}

const naive4 = (bytes: number[], trusted: boolean) => {
  const words = bytes[0] % 16
  refuse(words < 5 || words * 4 > bytes.length, 'ipv4HeaderLength')
  const header = bytes.slice(0, words * 4)
  const total = number(header.slice(2, 4))
  refuse(total < header.length || total > bytes.length, 'ipv4TotalLength')
  refuse(naiveSum(header) !== 0xffff, 'ipv4Checksum')
  const fragment = number(header.slice(6, 8)) % 0x4000
  refuse(fragment !== 0, 'ipv4Fragment')
  refuse(header[9] !== 6, 'ipv4Protocol')
  const source = header.slice(12, 16)
  const first = source[0]
  refuse(first === 0 || first === 127 || (first >= 224 && first < 240), 'sourceAddress')
  refuse(source.join('.') === '255.255.255.255', 'sourceAddress')
  const destination = header.slice(16, 20)
  const segment = bytes.slice(header.length, total)
  const pseudo = [...source, ...destination, 0, 6, ...word(segment.length)]
  return { source: source.join('.'), destination: destination.join('.'), ...naiveTcp(segment, pseudo, trusted) }
}

const naive6 = (bytes: number[], trusted: boolean) => {
  const rest = new Cursor([...bytes])
  const header = rest.take(40, 'frameTooShort')
  const length = number(header.slice(4, 6))
  refuse(length === 0, 'ipv6PayloadLength')
  const packet = new Cursor(rest.take(length, 'ipv6PayloadLength'))
  let next = header[6]
  let extensions = 0
  while (next !== 6) {
    refuse(next === 44, 'ipv6Fragment')
    refuse(next === 51, 'ipv6ExtensionHeader')
    refuse(![0, 43, 60].includes(next), 'ipv6Protocol')
    refuse(next === 0 && extensions > 0, 'ipv6ExtensionHeader')
    extensions += 1
    refuse(extensions > 8, 'ipv6ExtensionHeader')
    const start = packet.take(8, 'ipv6ExtensionHeader')
    const whole = [...start, ...packet.take(start[1] * 8, 'ipv6ExtensionHeader')]
    if (next === 43) refuse(whole[2] === 0 || whole[3] > 0, 'ipv6ExtensionHeader')
    else naiveOptions6(whole.slice(2))
    next = whole[0]
  }
  const source = header.slice(8, 24)
  const text = source.join('.')
  refuse(source[0] === 255, 'sourceAddress')
  refuse(text === '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0' || text === '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1', 'sourceAddress')
  refuse(text.startsWith('0.0.0.0.0.0.0.0.0.0.255.255.'), 'sourceAddress')
  const destination = header.slice(24, 40)
  const segment = packet.bytes
  const pseudo = [...source, ...destination, ...long(segment.length), 0, 0, 0, 6]
  return { source: text, destination: destination.join('.'), ...naiveTcp(segment, pseudo, trusted) }
}

/** `size`: of the virtio-net header before it, 0: none. */
export const naive = (bytes: number[], size: number): Parsed | FaultName => {
  try {
    const frame = new Cursor([...bytes])
    const virtio = frame.take(size, 'frameTooShort')
    const [flags, type] = size > 0 ? virtio : [0, 0]
    const gsoSize = size > 0 ? virtio[4] + virtio[5] * 256 : 0
    refuse(type !== 0 && ![1, 3, 4, 5].includes(type % 128), 'virtioGso')
    refuse(type !== 0 && gsoSize === 0, 'virtioGso')
    const trusted = flags % 4 > 0
    const packet = frame.bytes
    refuse(packet.length < 20, 'frameTooShort')
    const version = Math.floor(packet[0] / 16)
    refuse(version !== 4 && version !== 6, 'ipVersion')
    const parsed = version === 4 ? naive4(packet, trusted) : naive6(packet, trusted)
    return { ...parsed, segmentSize: type === 0 ? 0 : gsoSize }
  } catch (error) {
    if (error instanceof Refused) return error.fault
    throw error
  }
}

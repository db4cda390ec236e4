/**
 * Packets built byte by byte and without any code of src/: what a test compares with has to be independent of what it tests.
 * Every field can be set to nonsense; checksums are right unless set. `frame` builds a whole frame as it crosses a TUN queue.
 */

export const word = (n: number): number[] => [(n >>> 8) & 0xff, n & 0xff]
export const long = (n: number): number[] => [...word(n >>> 16), ...word(n & 0xffff)]

/** Any bytes: numbers in an array, or a typed one. */
type Bytes = ArrayLike<number>

/** Parts one after the other. A list of 64 KiB is slow to spread or to concatenate, a typed array is not. */
const joined = (...parts: Bytes[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** RFC 1071 as it is written there. */
export const naiveSum = (bytes: Bytes, initial = 0): number => {
  let total = initial
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i] * 256 + (i + 1 < bytes.length ? bytes[i + 1] : 0)
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000)
  return total
}
export const naiveChecksum = (bytes: Bytes): number => 0xffff - naiveSum(bytes)

export interface TcpFields {
  sourcePort?: number
  destinationPort?: number
  seq?: number
  ack?: number
  /** In 32-bit words. */
  dataOffset?: number
  flags?: number
  window?: number
  /** Put in as is. */
  checksum?: number
  /** XORed into the right checksum. */
  checksumError?: number
  urgent?: number
  /** Bytes, a multiple of 4. */
  options?: number[]
  payload?: Bytes
  /** Keep only so many bytes of the segment. */
  cut?: number
}

/** `pseudo` gives the pseudo-header for a length in bytes. */
const tcpSegment = (fields: TcpFields, pseudo: (length: number) => number[]): Uint8Array => {
  const options = fields.options ?? []
  const head = [
    ...word(fields.sourcePort ?? 40_000),
    ...word(fields.destinationPort ?? 4567),
    ...long(fields.seq ?? 0x01020304),
    ...long(fields.ack ?? 0xf0f1f2f3),
    (fields.dataOffset ?? 5 + options.length / 4) << 4,
    fields.flags ?? 0x10,
    ...word(fields.window ?? 0xffff),
  ]
  const rest = joined(word(fields.urgent ?? 0), options, fields.payload ?? [])
  const length = head.length + 2 + rest.length
  const right = naiveChecksum(joined(pseudo(length), head, [0, 0], rest))
  const segment = joined(head, word(fields.checksum ?? right ^ (fields.checksumError ?? 0)), rest)
  return fields.cut === undefined ? segment : segment.slice(0, fields.cut)
}

export interface Ip4Fields {
  version?: number
  /** In 32-bit words. */
  headerLength?: number
  totalLength?: number
  id?: number
  fragment?: number
  ttl?: number
  protocol?: number
  checksumError?: number
  source?: number
  destination?: number
  options?: number[]
}

export const ip4 = (fields: Ip4Fields, payload: Bytes): Uint8Array => {
  const options = fields.options ?? []
  const head = [
    ((fields.version ?? 4) << 4) | (fields.headerLength ?? 5 + options.length / 4),
    0,
    ...word(fields.totalLength ?? 20 + options.length + payload.length),
    ...word(fields.id ?? 0),
    ...word(fields.fragment ?? 0x4000),
    fields.ttl ?? 64,
    fields.protocol ?? 6,
  ]
  const rest = [...long(fields.source ?? 0xc0a8c901), ...long(fields.destination ?? 0xc0a8c902), ...options]
  const right = naiveChecksum([...head, 0, 0, ...rest])
  return joined(head, word(right ^ (fields.checksumError ?? 0)), rest, payload)
}

export const packet4 = (ip: Ip4Fields = {}, tcp: TcpFields = {}): Uint8Array =>
  ip4(
    ip,
    tcpSegment(tcp, length => [
      ...long(ip.source ?? 0xc0a8c901),
      ...long(ip.destination ?? 0xc0a8c902),
      ...word(6),
      ...word(length),
    ]),
  )

export interface Ip6Fields {
  version?: number
  payloadLength?: number
  source?: number[]
  destination?: number[]
  /** Kind of the last header, after all extensions. */
  protocol?: number
  /** Kind and bytes, next header at byte 0 filled in. */
  extensions?: { kind: number; bytes: number[] }[]
}

export const source6 = [0xfc, 0xc9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
export const destination6 = [0xfc, 0xc9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]

export const ip6 = (fields: Ip6Fields, payload: Bytes): Uint8Array => {
  const extensions = fields.extensions ?? []
  const kinds = [...extensions.map(extension => extension.kind), fields.protocol ?? 6]
  const headers = extensions.flatMap(({ bytes }, i) => [kinds[i + 1], ...bytes.slice(1)])
  const payloadLength = word(fields.payloadLength ?? headers.length + payload.length)
  return joined(
    [(fields.version ?? 6) << 4, 0, 0, 0, ...payloadLength, kinds[0], 64],
    fields.source ?? source6,
    fields.destination ?? destination6,
    headers,
    payload,
  )
}

export const packet6 = (ip: Ip6Fields = {}, tcp: TcpFields = {}): Uint8Array =>
  ip6(
    ip,
    tcpSegment(tcp, length => [
      ...(ip.source ?? source6),
      ...(ip.destination ?? destination6),
      ...long(length),
      ...long(6),
    ]),
  )

/**
 * An extension header of `words * 8` bytes filled by one PadN option; `kind` 43 is a type-2 routing header without
 * segments left.
 */
export const extension = (kind: number, words = 1): { kind: number; bytes: number[] } => {
  const bytes = new Array<number>(words * 8).fill(0)
  bytes[1] = words - 1
  bytes[2] = kind === 43 ? 2 : 1
  bytes[3] = kind === 43 ? 0 : words * 8 - 4
  return { kind, bytes }
}

export const icmp4 = (
  quote: Bytes,
  fields: { type?: number; code?: number; mtu?: number; checksumError?: number } = {},
): Uint8Array => {
  const head = [fields.type ?? 3, fields.code ?? 4]
  const rest = joined([0, 0], word(fields.mtu ?? 1400), quote)
  const right = naiveChecksum(joined(head, [0, 0], rest))
  return joined(head, word(right ^ (fields.checksumError ?? 0)), rest)
}

export const icmp6 = (
  quote: Bytes,
  fields: { type?: number; code?: number; mtu?: number; checksumError?: number } = {},
): Uint8Array => {
  const head = [fields.type ?? 2, fields.code ?? 0]
  const rest = joined(long(fields.mtu ?? 1400), quote)
  const pseudo = [...source6, ...destination6, ...long(4 + rest.length), ...long(58)]
  const right = naiveChecksum(joined(pseudo, head, [0, 0], rest))
  return joined(head, word(right ^ (fields.checksumError ?? 0)), rest)
}

/** A buffer that isn't zero, so that a forgotten byte shows. */
export const poison = 0xa5
export const poisoned = (size: number): Uint8Array => new Uint8Array(size).fill(poison)

/** `bytes` at offset `at` of a poisoned buffer, with poison on both sides. */
export const placed = (bytes: ArrayLike<number>, at: number, after = 8): Uint8Array => {
  const b = poisoned(at + bytes.length + after)
  b.set(bytes, at)
  return b
}

/** Throws on any read outside `from` … `to`, where a plain Uint8Array gives undefined or someone else's bytes. */
export const guarded = (b: Uint8Array, from: number, to: number): Uint8Array =>
  new Proxy(b, {
    get(target, key) {
      const index = Number(key)
      if (!(index >= from && index < to)) throw new RangeError(`read of ${String(key)} outside ${from} … ${to}`)
      return target[index]
    },
  })

/** Whether only `at` … `at + length` was written. */
export const poisonedOutside = (b: Uint8Array, at: number, length: number): boolean =>
  b.every((byte, i) => (i >= at && i < at + length) || byte === poison)

/** Flag bits, for short. */
export const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16] as const

/** Addresses and ports that `frame` uses unless told: from the remote end to the stack under test. */
export const local4 = 0xc0a8c902
export const remote4 = 0xc0a8c901
export const local6: readonly number[] = [0xfcc90000, 0, 0, 2]
export const remote6: readonly number[] = [0xfcc90000, 0, 0, 1]
export const localPort = 4567
export const remotePort = 40_000
/** The tuple's ports as a flow's slot holds them. */
export const ports = (remotePort << 16) | localPort

export type VirtioSize = 0 | 10 | 12

export interface VirtioFields {
  flags?: number
  gsoType?: number
  hdrLen?: number
  gsoSize?: number
  csumStart?: number
  csumOffset?: number
}

const little = (n: number): number[] => [n & 0xff, n >>> 8]

export const virtioHeader = (size: VirtioSize, fields: VirtioFields = {}): number[] =>
  [
    fields.flags ?? 0,
    fields.gsoType ?? 0,
    ...little(fields.hdrLen ?? 0),
    ...little(fields.gsoSize ?? 0),
    ...little(fields.csumStart ?? 0),
    ...little(fields.csumOffset ?? 0),
    0,
    0,
  ].slice(0, size)

export interface FrameFields extends TcpFields {
  family?: 4 | 6
  virtioSize?: VirtioSize
  virtio?: VirtioFields
  ip4?: Ip4Fields
  ip6?: Ip6Fields
}

export const frame = (fields: FrameFields = {}): Uint8Array =>
  joined(
    virtioHeader(fields.virtioSize ?? 0, fields.virtio),
    fields.family === 6 ? packet6(fields.ip6, fields) : packet4(fields.ip4, fields),
  )

/**
 * The Internet checksum (RFC 1071). A "sum" is the folded 16-bit ones' complement sum, not inverted. A "checksum" is
 * its inverse, as it stands in a header. Data that includes its correct checksum has the sum 0xffff.
 */
import { u16 } from './bytes.js'

/** Folds a sum below 2³² to 16 bits. The result is 0 only for 0. */
export const fold = (n: number): number => {
  const once = (n & 0xffff) + (n >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/** The checksum field (16 bit, inverted) for a sum below 2³². */
export const finish = (sum: number): number => ~fold(sum) & 0xffff

/**
 * Folded sum of `length` bytes (at most 131,072) from byte offset `at`, plus `initial` (a folded sum). An odd last byte
 * counts as the high half of a word. `at` may have any alignment.
 *
 * The loop adds even and odd bytes apart. So it needs no shifts, the two sums do not wait for each other, and both stay
 * small integers.
 */
export const sum = (b: Uint8Array, at: number, length: number, initial = 0): number => {
  let high = 0
  let low = 0
  const end = at + length
  let i = at
  for (const bulk = end - 15; i < bulk; i += 16) {
    high = (high + b[i] + b[i + 2] + b[i + 4] + b[i + 6] + b[i + 8] + b[i + 10] + b[i + 12] + b[i + 14]) | 0
    low = (low + b[i + 1] + b[i + 3] + b[i + 5] + b[i + 7] + b[i + 9] + b[i + 11] + b[i + 13] + b[i + 15]) | 0
  }
  for (const pairs = end - 1; i < pairs; i += 2) {
    high = (high + b[i]) | 0
    low = (low + b[i + 1]) | 0
  }
  if (i < end) high = (high + b[i]) | 0
  // The bytes alone stay below 2³² (65,536 words of 0xffff). With `initial` they might not, so it is added after a
  // fold.
  return fold(fold(high * 256 + low) + initial)
}

/**
 * Folded sum of the IPv4 pseudo-header (RFC 9293 §3.1) of `l4Length` bytes of TCP. `srcAt`, `dstAt`: byte offsets of
 * the addresses.
 */
export const pseudo4 = (b: Uint8Array, srcAt: number, dstAt: number, l4Length: number): number =>
  fold(u16(b, srcAt) + u16(b, srcAt + 2) + u16(b, dstAt) + u16(b, dstAt + 2) + 6 + l4Length)

/**
 * Folded sum of the IPv6 pseudo-header (RFC 8200 §8.1). `l4Length` counts from the upper-layer header on, without
 * extension headers. `protocol` is 6 (TCP) or 58 (ICMPv6).
 */
export const pseudo6 = (b: Uint8Array, srcAt: number, dstAt: number, l4Length: number, protocol = 6): number => {
  let total = protocol + (l4Length & 0xffff) + (l4Length >>> 16)
  for (let i = 0; i < 16; i += 2) total += u16(b, srcAt + i) + u16(b, dstAt + i)
  return fold(total)
}

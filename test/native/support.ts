import { readdirSync } from 'node:fs'
import { Errno, native } from '../../src/native.js'

/** The answer of a call that failed with this errno. */
export const failure = (name: keyof typeof Errno): number => -Errno[name]

/** A repeatable stream of 32-bit numbers (mulberry32). */
export const randomNumbers = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let z = Math.imul(seed ^ (seed >>> 15), seed | 1)
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
  return (z ^ (z >>> 14)) >>> 0
}

export const randomBytes = (length: number, seed: number): Uint8Array => {
  const next = randomNumbers(seed)
  return Uint8Array.from({ length }, () => next() & 0xff)
}

/** RFC 1071 as it is written there: folded, not inverted. */
export const naiveChecksum = (bytes: Uint8Array, initial = 0): number => {
  let sum = initial
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i] * 256 + (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000)
  return sum
}

/** Shared memory of `bytes` as arena, bytes and 32-bit words. */
export const sharedArena = (length: number) => {
  const buffer = new SharedArrayBuffer(length)
  const bytes = new Uint8Array(buffer)
  return { arena: native.arenaOpen(bytes), bytes, words: new Int32Array(buffer) }
}

export const openPair = (): [number, number] => {
  const ends = new Int32Array(2)
  const result = native.pairOpen(ends)
  if (result !== 0) throw new Error(`pairOpen: ${result}`)
  return [ends[0], ends[1]]
}

/** The next packet of a descriptor. */
export const readPacket = (fd: number): Uint8Array => {
  const bytes = new Uint8Array(65536)
  const length = native.read(fd, bytes, 0, bytes.length)
  if (length < 0) throw new Error(`read: ${length}`)
  return bytes.slice(0, length)
}

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length

import type { Tuple } from './tuple.js'

/** 32-bit hash of a tuple, signed (murmur3). */
export const hash = (seed: number, { ports, r0, r1, r2, r3 }: Tuple): number => {
  let h = seed
  h = mix(h, ports)
  h = mix(h, r0)
  if ((r1 | r2 | r3) !== 0) h = mix(mix(mix(h, r1), r2), r3)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

const mix = (h: number, word: number): number => {
  let k = Math.imul(word, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  h ^= Math.imul(k, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}

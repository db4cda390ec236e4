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

import type { Tuple } from '../memory/tuple.js'

/**
 * HalfSipHash-2-4 with a 32-bit result (Aumasson & Bernstein; Linux's `hsiphash` is of the same family): a keyed hash
 * that nobody predicts without the key. The key is two words, the message any number of words. Nothing is allocated.
 */
export const halfSipHash = (k0: number, k1: number, message: Int32Array): number => {
  state[0] = k0
  state[1] = k1
  state[2] = 0x6c796765 ^ k0
  state[3] = 0x74656462 ^ k1
  for (let i = 0; i < message.length; i++) absorb(message[i])
  // The last word carries the number of bytes, modulo 256, in its highest byte. No byte is left over for the other
  // three.
  absorb(message.length << 26)
  state[2] ^= 0xff
  round()
  round()
  round()
  round()
  return (state[1] ^ state[3]) >>> 0
}

/** Writes a tuple's ports and address to the first five words of a message. */
export const putTuple = (message: Int32Array, { ports, r0, r1, r2, r3 }: Tuple): void => {
  message[0] = ports
  message[1] = r0
  message[2] = r1
  message[3] = r2
  message[4] = r3
}

const state = new Int32Array(4)

const absorb = (word: number): void => {
  state[3] ^= word
  round()
  round()
  state[0] ^= word
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))

const round = (): void => {
  let v0 = state[0]
  let v1 = state[1]
  let v2 = state[2]
  let v3 = state[3]
  v0 = (v0 + v1) | 0
  v1 = rotate(v1, 5) ^ v0
  v0 = rotate(v0, 16)
  v2 = (v2 + v3) | 0
  v3 = rotate(v3, 8) ^ v2
  v0 = (v0 + v3) | 0
  v3 = rotate(v3, 7) ^ v0
  v2 = (v2 + v1) | 0
  v1 = rotate(v1, 13) ^ v2
  v2 = rotate(v2, 16)
  state[0] = v0
  state[1] = v1
  state[2] = v2
  state[3] = v3
}

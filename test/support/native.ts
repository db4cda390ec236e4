import { readdirSync } from 'node:fs'
import { Errno, native } from '../../src/native.js'

/** The answer of a call that failed with this errno. */
export const failure = (name: keyof typeof Errno): number => -Errno[name]

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

/** `length` bytes that differ from those of every other `seed` and shift. */
export const pattern = (length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let x = Math.imul(seed + 1, 0x9e3779b1)
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0
    bytes[i] = x >>> 24
  }
  return bytes
}

export const text = (datagram: Uint8Array | undefined): string | undefined =>
  datagram && Buffer.from(datagram).toString()

/** Bytes 0, 1, 2 … of this length, from `first` on. */
export const counting = (length: number, first = 0): number[] => Array.from({ length }, (_, i) => (first + i) & 0xff)

/** `length` bytes cut every `segmentSize`. */
export const datagrams = (bytes: Uint8Array, segmentSize: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / segmentSize) }, (_, i) =>
    bytes.subarray(i * segmentSize, Math.min((i + 1) * segmentSize, bytes.length)),
  )

/** Whether two lists hold the same datagrams; quick, and says where they part. */
export const difference = (found: readonly Uint8Array[], wanted: readonly Uint8Array[]): string | undefined => {
  for (const [i, datagram] of wanted.entries()) {
    if (i >= found.length) return `${found.length} instead of ${wanted.length} datagrams`
    if (Buffer.compare(found[i], datagram) !== 0) {
      return `datagram ${i} differs (${found[i].length} instead of ${datagram.length} bytes)`
    }
  }
  return found.length === wanted.length ? undefined : `${found.length} instead of ${wanted.length} datagrams`
}

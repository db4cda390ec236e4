/**
 * Reads and writes big-endian fields. V8 inlines this plain arithmetic into the accessors. A DataView would be one more
 * object per buffer, and slower on the typed arrays of a shared arena. Nothing here checks bounds: the `check` of each
 * protocol does.
 */

/** 16-bit field at byte offset `at`, 0 … 0xffff. */
export const u16 = (b: Uint8Array, at: number): number => (b[at] << 8) | b[at + 1]

/** 32-bit field at byte offset `at`, unsigned: 0 … 0xffffffff. */
export const u32 = (b: Uint8Array, at: number): number =>
  ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0

/** Writes the low 16 bits of `value`. */
export const setU16 = (b: Uint8Array, at: number, value: number): void => {
  b[at] = value >>> 8
  b[at + 1] = value
}

/** Writes `value` modulo 2³²; signed words (from an Int32Array) and unsigned ones give the same bytes. */
export const setU32 = (b: Uint8Array, at: number, value: number): void => {
  b[at] = value >>> 24
  b[at + 1] = value >>> 16
  b[at + 2] = value >>> 8
  b[at + 3] = value
}

/**
 * Arithmetic of sequence numbers, modulo 2³² (RFC 1982, RFC 9293 §3.4). Arguments may be signed or unsigned, so words
 * of an Int32Array can be passed as they are.
 */

/** Bytes from `from` forward to `to`: −2³¹ … 2³¹ − 1. Negative when `to` lies behind. */
export const distance = (from: number, to: number): number => (to - from) | 0

/** Whether `a` is later than `b`. Of two numbers exactly 2³¹ apart none is later (RFC 1982 §3.2). */
export const after = (a: number, b: number): boolean => ((a - b) | 0) > 0

/** `seq` moved by `n` bytes (may be negative), unsigned. */
export const add = (seq: number, n: number): number => (seq + n) >>> 0

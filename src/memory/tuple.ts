/**
 * Which connection a packet belongs to, as plain numbers. The local address is the stack's own, and is not part of it.
 */
export interface Tuple {
  /** 4 or 6. */
  readonly family: number
  /** `remote port << 16 | local port`, signed. */
  readonly ports: number
  /** The remote address: four signed words, most significant first. IPv4 uses `r0` and leaves the rest 0. */
  readonly r0: number
  readonly r1: number
  readonly r2: number
  readonly r3: number
}

/** The remote address of a tuple, and its family. */
export type Remote = Omit<Tuple, 'ports'>

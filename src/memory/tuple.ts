/**
 * Who a segment is from and for, as plain numbers: the family (4 or 6), the ports (remote port << 16 | local port) and
 * the remote address as four signed big-endian-valued words. IPv4 uses the first and leaves the rest 0. The local
 * address is the stack's own.
 */
export interface Tuple {
  readonly family: number
  readonly ports: number
  readonly r0: number
  readonly r1: number
  readonly r2: number
  readonly r3: number
}

/** The remote address of a tuple. */
export type Remote = Omit<Tuple, 'ports'>

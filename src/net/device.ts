import { native } from '../native.js'
import type { Address } from './address.js'
import type { DeviceFeatures } from './features.js'

/**
 * A TUN interface, or one end of a virtual link: one descriptor per queue. Each read or write carries one IP packet.
 */
export interface Device {
  readonly name: string
  readonly queues: readonly number[]
  /** Bytes of virtio-net header in front of every packet; 0: none, and no super-packets. */
  readonly virtioSize: 0 | 10 | 12
  /** Bytes of the largest IP packet. */
  readonly mtu: number
  /** Whether the ports of a packet determine its queue (`queueOf`). Otherwise any packet may arrive on any queue. */
  readonly steered: boolean
  /** The optional features that are in use, and why the others are not. */
  readonly features: DeviceFeatures
  readonly stackAddress?: Address
  readonly stackAddress6?: Address
  /** Idempotent. */
  close(): void
}

/** Minimum MTU in bytes by family: RFC 8200 §5 for IPv6; every IPv4 host takes 576 bytes (RFC 791). */
export const minMtu = { 4: 576, 6: 1_280 } as const
/** Bytes of the virtio-net header that we ask for. */
export const virtioSize = 10

/** Makes a function that closes the descriptors. Further calls of it do nothing. */
export const closer = (queues: number[]) => (): void => {
  for (const fd of queues.splice(0)) native.close(fd)
}

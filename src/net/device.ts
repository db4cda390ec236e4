import { native } from '../native.js'
import type { Address } from './address.js'
import type { DeviceFeatures } from './features.js'

/** Where packets come from and go to: one descriptor per queue, each read and write one IP packet. */
export interface Device {
  readonly name: string
  readonly queues: readonly number[]
  /** Bytes of virtio-net header in front of every packet; 0: none, and no super-packets. */
  readonly virtioSize: 0 | 10 | 12
  readonly mtu: number
  /** Whether a packet's queue follows from its ports (`queueOf`); else any queue may bring any packet. */
  readonly steered: boolean
  /** What it is used with, and what was refused. */
  readonly features: DeviceFeatures
  readonly stackAddress?: Address
  readonly stackAddress6?: Address
  /** Idempotent. */
  close(): void
}

/** Smallest MTU by family: RFC 8200 §5 for IPv6; every IPv4 host takes 576 bytes (RFC 791). */
export const leastMtu = { 4: 576, 6: 1_280 } as const
/** Bytes of the virtio-net header that we ask for. */
export const virtioSize = 10

/** Closes descriptors once, however often it is called. */
export const closer = (queues: number[]) => (): void => {
  for (const fd of queues.splice(0)) native.close(fd)
}

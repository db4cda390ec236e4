/** Something that a kernel may refuse, and that there is another way without. */
export interface Feature {
  readonly used: boolean
  /** Why it is not in use. */
  readonly reason?: string
}

/** What a device is used with. */
export interface DeviceFeatures {
  /** Several queues, a worker each (IFF_MULTI_QUEUE). */
  readonly queues: Feature
  /** Super-packets that the kernel cuts, and checksums that it computes. */
  readonly superPacketsOut: Feature
  /** Super-packets that the kernel hands over whole. */
  readonly superPacketsIn: Feature
  /** The queue of a packet follows from its ports (eBPF). */
  readonly steering: Feature
  readonly ipv6: Feature
}

export const used: Feature = { used: true }

export const unused = (reason: string): Feature => ({ used: false, reason })

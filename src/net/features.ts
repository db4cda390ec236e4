/** An optional feature. Where the kernel refuses it, the stack works without. */
export interface Feature {
  readonly used: boolean
  /** Why it is not in use; absent when it is. */
  readonly reason?: string
}

/** The optional features of a device. */
export interface DeviceFeatures {
  /** Several queues, one worker each (IFF_MULTI_QUEUE). */
  readonly queues: Feature
  /** Super-packets that the stack writes: the kernel cuts them and computes the checksums. */
  readonly superPacketsOut: Feature
  /** Super-packets that the kernel delivers uncut. */
  readonly superPacketsIn: Feature
  /** The ports of a packet determine its queue (an eBPF program). */
  readonly steering: Feature
  readonly ipv6: Feature
}

export const used: Feature = { used: true }

export const unused = (reason: string): Feature => ({ used: false, reason })

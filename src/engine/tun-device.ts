import type { Device } from '../net/device.js'
import type { AddressPair } from '../net/pair.js'

/** A TUN interface, with what we did to it. */
export interface TunDevice extends Device {
  /** Addresses that we gave it; none for an adopted one. */
  readonly pairs: readonly AddressPair[]
  /** The kernel's number of the interface; 0: somebody else looks after it. */
  readonly index: number
}

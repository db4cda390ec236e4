import type { Device } from '../net/device.js'
import type { AddressPair } from '../net/pair.js'

/** A TUN interface that the stack has made or adopted. */
export interface TunDevice extends Device {
  /** Addresses that we assigned; none for an adopted interface. */
  readonly pairs: readonly AddressPair[]
  /** Index of the interface; 0: it was adopted, and another program looks after it. */
  readonly index: number
}

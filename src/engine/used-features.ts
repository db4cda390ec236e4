import { Switch } from '../memory/shared-stack.js'
import { errnoName } from '../native.js'
import type { Device } from '../net/device.js'
import { type DeviceFeatures, unused } from '../net/features.js'

/** Milliseconds between two looks at the switch. */
const lookMs = 1_000
/** Value of the switch when super-packets are unused from the start. `Device.features` has the reason then. */
const unspecified = -1

/**
 * The device's optional features that are in use at this moment. Any thread may find later that the kernel refuses what
 * it took at the start.
 */
export class UsedFeatures {
  readonly #device: Device
  readonly #switches: Int32Array
  readonly #look: NodeJS.Timeout | undefined

  /**
   * `switches`: the shared words by `Switch`. `lost` is called once, with the reason, when the kernel begins to refuse
   * super-packets.
   */
  constructor(device: Device, switches: Int32Array, lost: (reason: string) => void) {
    this.#device = device
    this.#switches = switches
    if (!device.features.superPacketsOut.used) {
      if (device.virtioSize !== 0) switches[Switch.headersRefused] = unspecified
      return
    }
    this.#look = setInterval(() => {
      const { used, reason = '' } = this.features.superPacketsOut
      if (used) return
      this.close()
      lost(reason)
    }, lookMs).unref()
  }

  get features(): DeviceFeatures {
    const { features } = this.#device
    const errno = this.#switches[Switch.headersRefused]
    if (errno === 0 || !features.superPacketsOut.used) return features
    return { ...features, superPacketsOut: unused(`the kernel refused a write (${errnoName(-errno)})`) }
  }

  close(): void {
    clearInterval(this.#look)
  }
}

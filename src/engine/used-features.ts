import { Switch } from '../memory/shared-stack.js'
import { errnoName } from '../native.js'
import type { Device } from '../net/device.js'
import { type DeviceFeatures, unused } from '../net/features.js'

/** How often a look is taken. */
const lookMs = 1_000
/** Stands for the reason that the trial has given in words. */
const unspecified = -1

/** What a device is used with by now. Any thread may find that the kernel refuses what it took at the start. */
export class UsedFeatures {
  readonly #device: Device
  readonly #switches: Int32Array
  readonly #look: NodeJS.Timeout | undefined

  /**
   * `switches`: words by `Switch`, of all threads. `lost` is called once, with the reason, when super-packets can be
   * used no more.
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

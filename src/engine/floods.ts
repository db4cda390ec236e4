import { FloodFilter } from '../flood/flood-filter.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import type { FlowId } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import { native } from '../native.js'
import type { Device } from '../net/device.js'
import { diagnostics } from './diagnostics.js'
import type { StackOptions } from './options.js'

/** A flood is over after so many milliseconds without a report. Workers report it once a second while it lasts. */
const quietMs = 3_000

/**
 * Tells the log and the diagnostics channels when a flood begins and ends. It learns that from workers, which report
 * what they refuse, and from the kernel's filter where there is one.
 */
export class Floods {
  readonly #device: Device
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #logger: StackOptions['logger']
  #filter: FloodFilter | undefined
  /** `native.clock()` when the flood began; undefined when there is none. */
  #since: number | undefined
  /**
   * Runs out when no worker has reported the flood for a while. Not used while the filter is attached: the filter tells
   * by itself when the flood ends.
   */
  #quiet: NodeJS.Timeout | undefined

  constructor(device: Device, memory: StackMemory, counters: CounterPage, logger: StackOptions['logger']) {
    this.#device = device
    this.#memory = memory
    this.#counters = counters
    this.#logger = logger
  }

  /** Prepares the kernel's filter, if the kernel takes eBPF programs from this process. */
  openFilter(): void {
    this.#filter ??= FloodFilter.open(this.#device.queues[0], this.#memory.flows, {
      dropped: (syns, others) => {
        this.#counters[Counter.synFlood] += syns
        this.#counters[Counter.strayFlood] += others
      },
      begun: () => this.#begun(true),
      synsTwice: () =>
        this.#logger?.warn(
          { event: 'flood-syns', interface: this.#device.name },
          'SYN flood: a client’s first SYN is dropped by the kernel, its second is answered',
        ),
      ended: () => this.#ended(),
    })
  }

  /** A connection begins. During a flood the filter must pass its packets. */
  admit({ slot }: FlowId): void {
    this.#filter?.admit(slot)
  }

  /** A worker refuses too many packets. `syns`: they are SYNs. */
  reported(syns: boolean): void {
    if (this.#filter?.flood(syns) === true) return
    this.#begun(false)
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => this.#ended(), quietMs).unref()
  }

  close(): void {
    clearTimeout(this.#quiet)
    this.#filter?.close()
  }

  #begun(filtered: boolean): void {
    clearTimeout(this.#quiet)
    if (this.#since !== undefined) return
    this.#since = native.clock()
    const { name } = this.#device
    const text = filtered
      ? 'flood: from now on the kernel drops most packets that belong to no connection'
      : 'flood: far more packets come that belong to no connection than are answered'
    this.#logger?.warn({ event: 'flood-begun', interface: name, filtered }, text)
    if (diagnostics.floodBegun.wanted) diagnostics.floodBegun.publish({ device: name, filtered })
  }

  #ended(): void {
    if (this.#since === undefined) return
    const lasted = (native.clock() - this.#since) | 0
    this.#since = undefined
    const { name } = this.#device
    this.#logger?.warn({ event: 'flood-ended', interface: name, lasted }, 'the flood has ended')
    if (diagnostics.floodEnded.wanted) diagnostics.floodEnded.publish({ device: name, lasted })
  }
}

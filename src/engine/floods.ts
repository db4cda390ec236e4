import { FloodFilter } from '../flood/flood-filter.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import type { FlowId } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import { native } from '../native.js'
import type { Device } from '../net/device.js'
import { diagnostics } from './diagnostics.js'
import type { StackOptions } from './options.js'

/** Workers tell of a flood once a second while it lasts. */
const quietMs = 3_000

/**
 * Floods as the stack knows them: from what workers refuse, and from what the kernel's filter drops where there is one.
 * Says when one begins and ends.
 */
export class Floods {
  readonly #device: Device
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #logger: StackOptions['logger']
  #filter: FloodFilter | undefined
  /** `native.clock()` when the flood began; undefined in peace. */
  #since: number | undefined
  /**
   * Runs out when no worker has told of the flood for a while; not used while the filter is in place, which sees its
   * end.
   */
  #quiet: NodeJS.Timeout | undefined

  constructor(device: Device, memory: StackMemory, counters: CounterPage, logger: StackOptions['logger']) {
    this.#device = device
    this.#memory = memory
    this.#counters = counters
    this.#logger = logger
  }

  /** From now on the kernel may be asked to help, where it takes eBPF programs from us. */
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

  /** A connection begins: in a flood its packets must pass. */
  admit({ slot }: FlowId): void {
    this.#filter?.admit(slot)
  }

  /** A worker gets more than it answers; `syns`: of SYNs. */
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

import type { Resolved } from '../numbers.js'

/** The options of a stack that its workers read, passed to them in `SharedStack`. engine/options.ts has all others. */
export const workerNumbers = {
  /**
   * Microseconds that arriving packets may wait, so that a worker handles more of them at once. That takes less
   * processor time at moderate rates, and adds up to this much latency. 0: they do not wait.
   */
  coalesceUs: { default: 0, min: 0, max: 1_000_000 },
} as const

export type WorkerOptions = Resolved<typeof workerNumbers>

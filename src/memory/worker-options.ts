import type { Resolved } from '../numbers.js'

/**
 * Options of a stack that its workers read: they travel as one record in `SharedStack`. The others stand in
 * engine/options.ts.
 */
export const workerNumbers = {
  /**
   * Microseconds that arriving packets may wait so that more of them are handled in one go: less processor time at
   * moderate rates, for so much more latency.
   */
  coalesceUs: { default: 0, min: 0, max: 1_000_000 },
} as const

export type WorkerOptions = Resolved<typeof workerNumbers>

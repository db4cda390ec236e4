import type { Shape } from '../../src/lab/network.js'
import type { Summary } from '../summary.js'

/** A row as charts see it. */
export interface Point {
  peer: string
  label: string
  shape: string
  size: number
  flows: number
  rate: number
  low: number
  high: number
  gbit: number
  sender: number
  receiver: number
  cpu: number
  p50: number
  p99: number
}

export const shapeNames: Readonly<Record<Shape, string>> = {
  plain: 'Two containers on one machine',
  wire: 'As over a network card and a cable',
}

/** Rows of some scenarios, labelled, in the order of `labels`. Rows without runs are left out. */
export const points = (
  rows: readonly Summary[],
  labels: Readonly<Record<string, string>>,
  shapes: readonly Shape[] = ['plain'],
): Point[] =>
  Object.entries(labels).flatMap(([scenario, label]) =>
    rows
      .filter(row => row.scenario === scenario && shapes.includes(row.shape))
      .flatMap(({ peer, shape, size, flows, median, low, high }) =>
        median === undefined || low === undefined || high === undefined
          ? []
          : [
              {
                ...{ peer, label, shape: shapeNames[shape], size, flows },
                rate: median.datagramsPerSecond,
                low: low.datagramsPerSecond,
                high: high.datagramsPerSecond,
                gbit: median.gbitPerSecond,
                sender: median.senderCpuPerGB,
                receiver: median.receiverCpuPerGB,
                cpu: median.cpuSecondsPerGB,
                p50: median.latencyP50,
                p99: median.latencyP99,
              },
            ],
      ),
  )

import { count } from '../columns.js'
import { table } from './markdown.js'

/** The file to which bench/cost writes its figures. */
export const COST = 'bench/results/cost.json'

export interface Cost {
  heap: {
    path: string
    datagrams: number
    rows: { thread: string; bytesPerDatagram: number; collections: number }[]
  }[]
  idle: { connections: number; openPerSecond: number; bytesPerConnection: number; cpuPercentPerWorker: number }
  sharedBytes: number
}

/** As Markdown. */
export const costTables = ({ heap, idle, sharedBytes }: Cost): string => {
  const threads = heap[0].rows.map(row => row.thread)
  return [
    'JavaScript heap allocated, in bytes per datagram of 64 bytes (1,000 to a super-packet); the young generation is so large that nothing is',
    'collected meanwhile. The smallest object has 16 bytes: below that there is no allocation per datagram. `recv` makes a copy that is the',
    "program's to keep; where the collector ran, the figure is a lower bound.",
    '',
    table(
      ['path', 'datagrams', ...threads],
      heap.map(({ path, datagrams, rows }) => [
        `\`${path}\``,
        count(datagrams),
        ...rows.map(row => (row.collections > 0 ? `${row.collections} collections` : row.bytesPerDatagram.toFixed(2))),
      ]),
    ),
    '',
    table(
      ['connections that do nothing', 'measured', 'bar'],
      [
        ['open at once', count(idle.connections), '20,000'],
        ['shared memory of each, bytes (slot and tuple index)', count(sharedBytes), '≤ 1,024'],
        ['resident memory of each end with its `Socket`, bytes', count(idle.bytesPerConnection), ''],
        ['processor time of a worker, %', idle.cpuPercentPerWorker.toFixed(2), '< 1'],
        ['opened per second (both ends in one process)', count(idle.openPerSecond), ''],
      ],
    ),
  ].join('\n')
}

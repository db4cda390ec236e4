import { existsSync, readFileSync } from 'node:fs'

/** Where bench/cost leaves its figures. */
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

/** The figures of the last `npm run bench -- --cost`, if there was one. */
export const readCost = (root: string): Cost | undefined =>
  existsSync(`${root}${COST}`) ? (JSON.parse(readFileSync(`${root}${COST}`, 'utf8')) as Cost) : undefined

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
const count = (value: number): string => Math.round(value).toLocaleString('en-US')

/** Markdown. */
export const costTables = ({ heap, idle, sharedBytes }: Cost): string => {
  const threads = heap[0].rows.map(row => row.thread)
  return [
    'JavaScript heap allocated, in bytes per datagram of 64 bytes (1,000 to a super-packet); the young generation is so large that nothing is',
    'collected meanwhile. The smallest object has 16 bytes: below that there is no allocation per datagram. `recv` makes a copy that is the',
    "program's to keep; where the collector ran, the figure is a lower bound.",
    '',
    line(['path', 'datagrams', ...threads]),
    line(['---', ...Array(threads.length + 1).fill('--:')]),
    ...heap.map(({ path, datagrams, rows }) =>
      line([
        `\`${path}\``,
        count(datagrams),
        ...rows.map(row => (row.collections > 0 ? `${row.collections} collections` : row.bytesPerDatagram.toFixed(2))),
      ]),
    ),
    '',
    line(['connections that do nothing', 'measured', 'bar']),
    line(['---', '--:', '--:']),
    line(['open at once', count(idle.connections), '20,000']),
    line(['shared memory of each, bytes (slot and tuple index)', count(sharedBytes), '≤ 1,024']),
    line(['resident memory of each end with its `Socket`, bytes', count(idle.bytesPerConnection), '']),
    line(['processor time of a worker, %', idle.cpuPercentPerWorker.toFixed(2), '< 1']),
    line(['opened per second (both ends in one process)', count(idle.openPerSecond), '']),
  ].join('\n')
}

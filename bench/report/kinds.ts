import type { TopLevelSpec } from 'vega-lite'
import { count, short } from '../columns.js'
import type { Results } from '../results.js'
import type { Summary } from '../summary.js'
import type { Point } from './points.js'
import { bad, colourOf, good } from './theme.js'

export interface Chart {
  /** The chart takes the whole width of the page. */
  wide: boolean
  spec: TopLevelSpec
}

/** Domain and range of the colours of the peers that a chart shows, in the order of the tables. */
const colours = (rows: readonly Summary[], shown: readonly Point[]) => {
  const peers = new Map<string, string>()
  for (const { peer, role } of rows) {
    if (shown.some(point => point.peer === peer)) peers.set(peer, colourOf(peer, role))
  }
  return { domain: [...peers.keys()], range: [...peers.values()] }
}

const order = (shown: readonly Point[]): string[] => [...new Set(shown.map(point => point.label))]

const rates =
  "datum.value === 0 ? '0' : datum.value >= 1e6 ? format(datum.value / 1e6, '.3~r') + ' M' : format(datum.value / 1e3, '.3~r') + ' k'"
const rateText = (rate: number): string =>
  rate >= 1e6 ? `${Number((rate / 1e6).toPrecision(3))} M` : `${Number((rate / 1e3).toPrecision(3))} k`
const dark = '#1b2430'
/** Width of a chart over the whole page without its labels, in pixels. */
const WIDE = 840

/** How many times better than the reference, with the targets. */
export const times = ({ verdicts }: Results): Chart[] => {
  const bars = verdicts.flatMap(({ versus, unit, value, bound, need, what, state }) => {
    if (versus === undefined || unit !== '×' || value === undefined || value === 0) return []
    const better = (x: number): number => (need === '≥' ? x : 1 / x)
    return [{ what, better: better(value), target: better(bound), reached: state === 'ok' ? 'reached' : 'missed' }]
  })
  if (bars.length === 0) return []
  const lowest = Math.min(0.5, ...bars.map(bar => bar.better * 0.8))
  const highest = Math.max(20, ...bars.map(bar => Math.max(bar.better, bar.target) * 1.5))
  const y = { field: 'what', type: 'nominal', sort: null, title: null } as const
  const spec: TopLevelSpec = {
    title: {
      text: 'How many times better than the stock programs',
      subtitle:
        'Datagrams delivered, CPU time or latency against phantun 0.8.1 and the crate fake-tcp 0.7.1; black marks: targets',
    },
    width: 690,
    height: { step: 27 },
    data: { values: bars },
    encoding: { y: { ...y, axis: { ticks: false, domain: false } } },
    layer: [
      {
        mark: { type: 'bar', height: { band: 0.68 } },
        encoding: {
          x: {
            field: 'better',
            type: 'quantitative',
            scale: { type: 'log', domain: [lowest, highest], nice: false },
            axis: { title: 'times the reference (logarithmic)', values: [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100] },
          },
          x2: { datum: 1 },
          color: {
            field: 'reached',
            type: 'nominal',
            scale: { domain: ['reached', 'missed'], range: [good, bad] },
            legend: {},
          },
        },
      },
      {
        mark: { type: 'tick', color: 'black', thickness: 2.5, height: { band: 0.9 } } as never,
        encoding: { x: { field: 'target', type: 'quantitative' } },
      },
      {
        transform: [{ calculate: 'max(datum.better, datum.target, 1)', as: 'end' }],
        mark: { type: 'text', align: 'left', dx: 7, fontSize: 13, fontWeight: 'bold' },
        encoding: { x: { field: 'end', type: 'quantitative' }, text: { field: 'better', format: '.2~r' } },
      },
    ],
  }
  return [{ wide: true, spec }]
}

/** The title above a chart. */
interface Heading {
  title: string
  subtitle: string
}

/** The text is made here and not by a transform of one layer, since layers of a facet must share their data. */
const withText = (shown: readonly Point[], text: (point: Point) => string): object[] =>
  shown.map(point => ({ ...point, text: text(point) }))

const latencyText = ({ p50, p99 }: Point): string => `${count(p50)} – ${count(p99)}`

/** One block of bars per label. Each bar has its peer's name beside it. */
const blocks = (
  rows: readonly Summary[],
  shown: readonly Point[],
  { title, subtitle }: Heading,
  values: readonly object[],
  layer: Extract<TopLevelSpec, { layer: unknown }>['layer'],
): Chart => ({
  wide: true,
  spec: {
    title: { text: title, subtitle },
    data: { values: values as object[] },
    facet: { row: { field: 'label', type: 'nominal', sort: order(shown) } },
    spacing: 14,
    resolve: { scale: { y: 'independent' } },
    spec: {
      width: WIDE,
      height: { step: 24 },
      encoding: {
        y: {
          field: 'peer',
          type: 'nominal',
          sort: null,
          title: null,
          axis: { ticks: false, domain: false, labelPadding: 8 },
        },
        color: { field: 'peer', type: 'nominal', scale: colours(rows, shown), legend: null },
      },
      layer,
    },
  },
})

/** Bars of datagrams per second, with the spread of the rounds. */
export const rateBars = (rows: readonly Summary[], shown: readonly Point[], heading: Heading): Chart =>
  blocks(
    rows,
    shown,
    heading,
    withText(shown, point => rateText(point.rate)),
    [
      {
        mark: { type: 'bar', height: { band: 0.82 } },
        encoding: {
          x: {
            field: 'rate',
            type: 'quantitative',
            axis: { title: 'datagrams per second', labelExpr: rates, tickCount: 8 },
          },
        },
      },
      {
        mark: { type: 'rule', color: dark },
        encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' }, color: { value: dark } },
      },
      {
        mark: { type: 'text', align: 'left', dx: 6, fontSize: 13 },
        encoding: { x: { field: 'high', type: 'quantitative' }, text: { field: 'text' }, color: { value: dark } },
      },
    ],
  )

/** 1, 3, 10, 30 … as far as the figures reach. */
const steps = (shown: readonly Point[]): number[] => {
  const [low, high] = [Math.min(...shown.map(point => point.low)), Math.max(...shown.map(point => point.high))]
  const values = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 1 : 3) * 10 ** (i >> 1))
  return values.filter((value, i) => (values[i + 1] ?? value) > low && (values[i - 1] ?? 0) < high)
}

/** Lines over datagram size or number of flows. Both scales are logarithmic. */
export const rateLines = (
  rows: readonly Summary[],
  shown: readonly Point[],
  field: 'size' | 'flows',
  { title, subtitle }: Heading,
): Chart => {
  const values = steps(shown)
  return {
    wide: false,
    spec: {
      title: { text: title, subtitle },
      width: 430,
      height: 300,
      data: { values: shown as Point[] },
      encoding: {
        x: {
          field,
          type: 'quantitative',
          scale: { type: 'log', nice: false, padding: 20 },
          axis: {
            title: field === 'size' ? 'bytes per datagram' : 'flows, in turn',
            values: [...new Set(shown.map(point => point[field]))],
            format: ',d',
          },
        },
        y: {
          field: 'rate',
          type: 'quantitative',
          scale: { type: 'log', domain: [values[0], values[values.length - 1]], nice: false },
          axis: { title: 'datagrams per second (logarithmic)', labelExpr: rates, values },
        },
        color: { field: 'peer', type: 'nominal', scale: colours(rows, shown), legend: { columns: 2 } },
      },
      layer: [
        { mark: { type: 'line', strokeWidth: 2.5 } },
        { mark: { type: 'point', filled: true, size: 70, opacity: 1 } },
        {
          mark: { type: 'rule', opacity: 0.5 },
          encoding: { y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
        },
      ],
    },
  }
}

/** CPU time per GB: sender and receiver stacked. */
export const cpuBars = (rows: readonly Summary[], shown: readonly Point[], heading: Heading): Chart => {
  const domain = ['sending side', 'receiving side']
  const parts = shown
    .filter(point => point.cpu > 0)
    .flatMap(point => [
      { ...point, part: domain[0], from: 0, to: point.sender, text: '' },
      { ...point, part: domain[1], from: point.sender, to: point.sender + point.receiver, text: short(point.cpu) },
    ])
  return blocks(rows, shown, heading, parts, [
    {
      mark: { type: 'bar', cornerRadiusEnd: 0, height: { band: 0.82 } },
      encoding: {
        x: { field: 'from', type: 'quantitative', axis: { title: 'CPU seconds per GB delivered', tickCount: 8 } },
        x2: { field: 'to' },
        opacity: {
          field: 'part',
          type: 'ordinal',
          scale: { domain, range: [1, 0.55] },
          legend: { symbolFillColor: '#5b6675', columns: 2 },
        },
      },
    },
    {
      mark: { type: 'text', align: 'left', dx: 6, fontSize: 13 },
      encoding: {
        x: { field: 'to', type: 'quantitative' },
        text: { field: 'text' },
        color: { value: dark },
      },
    },
  ])
}

/** From the median to the 99th percentile. */
export const latencyRanges = (rows: readonly Summary[], shown: readonly Point[], heading: Heading): Chart => {
  const lowest = Math.min(...shown.map(point => point.p50)) * 0.7
  const highest = Math.max(...shown.map(point => point.p99)) * 1.6
  return blocks(rows, shown, heading, withText(shown, latencyText), [
    {
      mark: { type: 'rule', strokeWidth: 5, strokeCap: 'round' },
      encoding: {
        x: {
          field: 'p50',
          type: 'quantitative',
          scale: { type: 'log', nice: false, domain: [lowest, highest] },
          axis: {
            title: 'microseconds (logarithmic)',
            format: ',d',
            values: [10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 1e5, 3e5, 1e6],
          },
        },
        x2: { field: 'p99' },
      },
    },
    {
      mark: { type: 'point', filled: true, size: 140, opacity: 1 },
      encoding: { x: { field: 'p50', type: 'quantitative' } },
    },
    {
      mark: { type: 'text', align: 'left', dx: 9, fontSize: 13 },
      encoding: { x: { field: 'p99', type: 'quantitative' }, text: { field: 'text' }, color: { value: dark } },
    },
  ])
}

import type { TopLevelSpec } from 'vega-lite'
import type { Results } from '../results.js'
import { type Chart, cpuBars, latencyRanges, rateBars, rateLines, times } from './kinds.js'
import { type Point, points, shapeNames } from './points.js'
import { config, textWidth } from './theme.js'

/** A chart is made only when there is something to compare. */
const when = (shown: readonly Point[], chart: () => Chart): Chart[] =>
  new Set(shown.map(point => point.peer)).size > 1 ? [chart()] : []

/** Every chart for which there are figures. */
export const charts = (results: Results): Chart[] => {
  const { rows } = results
  const tunnel = [
    ...points(rows, {
      'tunnel/plain': 'Plain sender, saturated',
      'tunnel/search': 'Plain sender, at most 0.1 % loss',
      'tunnel/gso': 'GSO sender, saturated',
      'tunnel/duplex': 'Plain senders in both directions, saturated',
    }),
    ...points(
      rows,
      {
        'tunnel/plain': 'As over a wire: plain sender, saturated',
        'tunnel/gso': 'As over a wire: GSO sender, saturated',
      },
      ['wire'],
    ),
  ]
  const library = [
    ...points(rows, { 'library/1400': shapeNames.plain }),
    ...points(rows, { 'library/1400': shapeNames.wire }, ['wire']),
  ]
  const tunnelSizes = points(rows, { 'tunnel/64': '', 'tunnel/256': '', 'tunnel/512': '', 'tunnel/plain': '' })
  const librarySizes = points(rows, { 'library/64': '', 'library/256': '', 'library/512': '', 'library/1400': '' })
  const tunnelFlows = points(rows, {
    ...{ 'tunnel/plain': '', 'tunnel/flows-10': '', 'tunnel/flows-1000': '', 'tunnel/flows-10000': '' },
  })
  const libraryFlows = points(rows, {
    ...{ 'library/1400': '', 'library/flows-10': '', 'library/flows-1000': '', 'library/flows-10000': '' },
  })
  /** Only peers with a figure at more than one place of the axis, since others have no line. */
  const lined = (shown: readonly Point[]): Point[] =>
    shown.filter(point => shown.filter(other => other.peer === point.peer).length > 1)
  const cpu = points(rows, {
    'tunnel/50k': 'Plain sender, 50,000/s',
    'tunnel/plain': 'Plain sender, saturated',
    'tunnel/500k-gso': 'GSO sender, 500,000/s',
    'tunnel/gso': 'GSO sender, saturated',
  }).filter(point => !point.peer.includes(','))
  const latencies = [
    ...points(rows, { 'tunnel/latency': shapeNames.plain }),
    ...points(rows, { 'tunnel/latency': shapeNames.wire }, ['wire']),
  ]
  const bytes = 'Datagrams of 1,400 bytes, UDP in and UDP out; thin line: all rounds'
  return [
    ...times(results),
    ...when(tunnel, () => rateBars(rows, tunnel, { title: 'Tunnel: datagrams delivered per second', subtitle: bytes })),
    ...when(library, () =>
      rateBars(rows, library, {
        title: 'Library: datagrams received per second',
        subtitle: 'Datagrams of 1,400 bytes, one flow, as fast as the sender can; grey: what the kernel alone carries',
      }),
    ),
    ...when(lined(librarySizes), () =>
      rateLines(rows, lined(librarySizes), 'size', {
        title: 'Library: by datagram size',
        subtitle: 'One flow, saturated',
      }),
    ),
    ...when(lined(tunnelSizes), () =>
      rateLines(rows, lined(tunnelSizes), 'size', {
        title: 'Tunnel: by datagram size',
        subtitle: 'Plain sender, saturated',
      }),
    ),
    ...when(lined(libraryFlows), () =>
      rateLines(rows, lined(libraryFlows), 'flows', {
        title: 'Library: by number of flows',
        subtitle: '1,400 bytes; each flow gets 64 KiB, then the next',
      }),
    ),
    ...when(lined(tunnelFlows), () =>
      rateLines(rows, lined(tunnelFlows), 'flows', {
        title: 'Tunnel: by number of flows',
        subtitle: '1,400 bytes, plain sender, one datagram per flow in turn',
      }),
    ),
    ...when(cpu, () =>
      cpuBars(rows, cpu, {
        title: 'Tunnel: CPU time per GB',
        subtitle: 'User and system time of client and server per 10⁹ bytes of delivered payload. Less is better',
      }),
    ),
    ...when(latencies, () =>
      latencyRanges(rows, latencies, {
        title: 'Tunnel: round trip at 1,000 datagrams per second',
        subtitle: 'Dot: median; end of the line: 99th percentile, in microseconds. Less is better',
      }),
    ),
  ]
}

/** A chart as SVG text, without a browser. */
export const render = async ({ spec }: Chart): Promise<string> => {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')])
  // vega has `textMetrics`, but its types do not.
  Object.assign((vega as unknown as { textMetrics: object }).textMetrics, {
    width: (item: { fontSize?: number }, text: unknown) => textWidth(String(text ?? ''), item.fontSize ?? 11),
  })
  // vega warns of facets whose layers have different data. Here they hold the same rows.
  const logger = vega.logger(vega.Error)
  const compiled = lite.compile({ ...spec, config } as TopLevelSpec, { logger })
  const view = new vega.View(vega.parse(compiled.spec), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}

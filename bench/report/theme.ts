import { names } from '../ends.js'
import type { Role } from '../scenario.js'

/** One colour per peer, the same in every chart: ours blue, what we replace orange, mixed violet, the kernel grey. */
const colours: Readonly<Record<string, string>> = {
  [names.ours]: '#1d5fd1',
  [names.phantun]: '#ef7d1a',
  [names.oursToStock]: '#7c4dcc',
  [names.stockToOurs]: '#b79be6',
  [names.direct]: '#9aa5b4',
  [names.service]: '#1d5fd1',
  [names.batches]: '#4f93f0',
  [names.one]: '#0b8fa6',
  [names.plainService]: '#7a97c9',
  [names.plainBatches]: '#adc3e8',
  [names.crate]: '#ef7d1a',
  [names.tcpraw]: '#2f9e5b',
  [names.kernelSuper]: '#6b7686',
  [names.kernelPlain]: '#b4bcc8',
}

const fallback: Readonly<Record<Role, string>> = {
  ours: '#1d5fd1',
  mixed: '#7c4dcc',
  reference: '#ef7d1a',
  other: '#2f9e5b',
  limit: '#9aa5b4',
}

export const colourOf = (peer: string, role: Role): string => colours[peer] ?? fallback[role]

export const good = '#1a8a4a'
export const bad = '#c63d2f'
const ink = '#1b2430'
const soft = '#5b6675'
const line = '#e3e7ec'

export const font = 'system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif'

/** vega-lite's configuration of all charts. */
export const config = {
  background: 'white',
  font,
  padding: 8,
  title: { anchor: 'start', fontSize: 19, subtitleFontSize: 13, subtitleColor: soft, color: ink, offset: 14 },
  axis: {
    labelFontSize: 13,
    titleFontSize: 13,
    titleFontWeight: 'normal',
    labelColor: ink,
    titleColor: soft,
    gridColor: line,
    domainColor: line,
    tickColor: line,
    labelLimit: 1000,
    titlePadding: 10,
  },
  legend: { labelFontSize: 13, title: null, labelLimit: 1000, symbolSize: 130, orient: 'bottom', columns: 4 },
  header: {
    ...{ labelFontSize: 14, labelFontWeight: 'bold', labelColor: ink, title: null },
    ...{ labelOrient: 'top', labelAnchor: 'start', labelPadding: 4 },
  },
  view: { stroke: null },
  bar: { cornerRadiusEnd: 2 },
} as const

/**
 * Width of a text in pixels. Without a canvas vega assumes 0.8 em per character, which leaves wide gaps. This is within
 * some percent of the common sans-serif fonts.
 */
export const textWidth = (text: string, fontSize: number): number => {
  let em = 0
  for (const character of text) {
    if (/[ijl.,:;|'!()[\]ft ]/u.test(character)) em += 0.34
    else if (/[mwMW%@–]/u.test(character)) em += 0.92
    else if (/[A-Z]/u.test(character)) em += 0.69
    else em += 0.61
  }
  return em * fontSize
}

export const styles = `
  :root { color: ${ink}; background: #f5f7f9; font: 16px/1.5 ${font}; }
  body { margin: 0 auto; max-width: 1180px; padding: 32px 24px 64px; }
  h1 { font-size: 34px; margin: 0 0 4px; letter-spacing: -0.01em; }
  h2 { font-size: 24px; margin: 48px 0 12px; }
  h3 { font-size: 17px; margin: 28px 0 6px; }
  p, dl { color: ${soft}; margin: 4px 0; max-width: 80ch; }
  code { background: #e9edf2; border-radius: 4px; padding: 1px 5px; font-size: 0.92em; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin-top: 14px; }
  dt { color: ${ink}; font-weight: 600; }
  dd { margin: 0; }
  .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 540px), 1fr)); gap: 20px; }
  .charts .wide { grid-column: 1 / -1; }
  figure { margin: 0; padding: 14px; background: white; border: 1px solid ${line}; border-radius: 10px; overflow-x: auto; }
  figure svg { display: block; max-width: 100%; height: auto; }
  .tables { background: white; border: 1px solid ${line}; border-radius: 10px; padding: 8px 20px 20px; overflow-x: auto; }
  table { border-collapse: collapse; font-size: 14px; width: 100%; font-variant-numeric: tabular-nums; }
  th { color: ${soft}; font-weight: 600; text-align: right; padding: 5px 10px; border-bottom: 2px solid ${line}; white-space: nowrap; }
  td { text-align: right; padding: 5px 10px; border-bottom: 1px solid ${line}; white-space: nowrap; }
  th:first-child, td:first-child, td.sentence { text-align: left; }
  td.sentence { color: ${soft}; white-space: normal; }
  tr.ours td:first-child { font-weight: 600; }
  tr.limit td, tr.other td { color: ${soft}; }
  .ok { color: ${good}; font-weight: 600; }
  .missed { color: ${bad}; font-weight: 600; }
  @media print { :root { background: white; } figure, .tables { break-inside: avoid; } }
`

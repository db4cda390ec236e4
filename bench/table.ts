import { bound, cells, columns, valueText } from './columns.js'
import type { Results } from './results.js'
import { groups, type Summary } from './summary.js'
import type { Verdict } from './targets.js'

const align = (lines: readonly (readonly string[])[]): string[] => {
  // A line of two cells is a name and a sentence, which may run over the other columns.
  const full = lines.filter(line => line.length > 2)
  const widths = full[0].map((_, column) => Math.max(...full.map(line => line[column].length)))
  widths[0] = Math.max(...lines.map(line => line[0].length))
  return lines.map(line =>
    line
      .map((cell, i) => (i === 0 || line.length === 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  )
}

const block = (rows: readonly Summary[], verdicts: readonly Verdict[]): string => {
  const head = columns[rows[0].figure].map(column => column.head)
  const lines = align([head, ...rows.map(row => cells(row, verdicts))])
  return [`${rows[0].scenario}, ${rows[0].shape} – ${rows[0].title}`, ...lines.map(line => `  ${line}`)].join('\n')
}

const targets = (verdicts: readonly Verdict[]): string => {
  const measured = verdicts.filter(verdict => verdict.state !== 'not measured')
  if (measured.length === 0) return ''
  const lines = measured.map(verdict => [
    verdict.state === 'ok' ? 'ok' : `** ${verdict.state}`,
    bound(verdict),
    valueText(verdict),
    verdict.what,
  ])
  const width = (column: number): number => Math.max(...lines.map(line => line[column].length))
  const text = lines.map(
    ([state, need, value, what]) =>
      `  ${state.padEnd(width(0))}  ${need.padStart(width(1))}  ${value.padStart(width(2))}  ${what}`,
  )
  const left = verdicts.length - measured.length
  return ['Targets', ...text, ...(left > 0 ? [`  ${left} more were not measured in this run.`] : [])].join('\n')
}

/** Text for a terminal: one block per scenario and shape, then the targets. */
export const table = ({ rows, verdicts }: Results): string =>
  [...groups(rows).map(group => block(group, verdicts)), targets(verdicts)].filter(text => text !== '').join('\n\n')

import { bound, cells, columns, valueText } from '../columns.js'
import type { Results } from '../results.js'
import { groups, type Summary } from '../summary.js'
import type { Verdict } from '../targets.js'
import { charts, render } from './charts.js'
import { conditions, notes } from './notes.js'
import { shapeNames } from './points.js'
import { styles } from './theme.js'

const plain = (text: string): string =>
  text.replace(/[&<>"]/g, character => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[character] ?? '')

const code = (text: string): string => plain(text).replace(/`([^`]+)`/g, '<code>$1</code>')

const mark = (text: string): string =>
  plain(text)
    .replace(/\bok\b/g, '<span class="ok">ok</span>')
    .replace(/\b(below|above)\b/g, '<span class="missed">$1</span>')

const group = (rows: readonly Summary[], verdicts: readonly Verdict[]): string => {
  const { scenario, shape, title, figure } = rows[0]
  const heads = columns[figure].map(({ head }) => `<th>${head}</th>`).join('')
  const lines = rows.map(row => {
    const line = cells(row, verdicts)
    const [name, sentence] = line
    if (line.length === 2) {
      return `<tr class="${row.role}"><td>${plain(name)}</td><td class="sentence" colspan="${columns[figure].length - 1}">${plain(sentence)}</td></tr>`
    }
    return `<tr class="${row.role}">${line.map((cell, i) => `<td>${i === line.length - 1 ? mark(cell) : plain(cell)}</td>`).join('')}</tr>`
  })
  return `<h3>${plain(title)}</h3>
<p><code>${scenario}</code>, ${shapeNames[shape].toLowerCase()} (<code>${shape}</code>)</p>
<table><thead><tr>${heads}</tr></thead><tbody>${lines.join('\n')}</tbody></table>`
}

const targets = (verdicts: readonly Verdict[]): string => {
  const lines = verdicts.map(verdict => {
    const state = verdict.state === 'ok' ? 'ok' : verdict.state === 'not measured' ? '' : 'missed'
    return `<tr><td>${plain(verdict.what)}</td><td>${bound(verdict)}</td><td>${valueText(verdict)}</td><td class="${state}">${verdict.state}</td></tr>`
  })
  return `<table><thead><tr><th>what</th><th>target</th><th>measured</th><th></th></tr></thead><tbody>${lines.join('\n')}</tbody></table>`
}

/** The whole report as one file with charts, targets and every table. It fetches nothing from elsewhere. */
export const html = async (results: Results): Promise<string> => {
  const figures: string[] = []
  for (const chart of charts(results)) {
    figures.push(`<figure${chart.wide ? ' class="wide"' : ''}>${await render(chart)}</figure>`)
  }
  const terms = conditions(results).map(([term, text]) => `<dt>${term}</dt><dd>${code(text)}</dd>`)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>fake-tcp: benchmarks</title>
<style>${styles}</style>
<h1>fake-tcp: benchmarks</h1>
<p>Against phantun 0.8.1, the Rust crate fake-tcp 0.7.1, tcpraw and the kernel's own limit.</p>
<dl>${terms.join('\n')}</dl>
<h2>Charts</h2>
<div class="charts">
${figures.join('\n')}
</div>
<h2>Targets</h2>
<div class="tables">${targets(results.verdicts)}</div>
<h2>All figures</h2>
<div class="tables">
${groups(results.rows)
  .map(rows => group(rows, results.verdicts))
  .join('\n')}
</div>
<h2>How it was measured</h2>
${notes.map(note => `<p>${code(note)}</p>`).join('\n')}
</html>
`
}

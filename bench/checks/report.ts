import type { Verdict } from './scenario.js'

export interface Result {
  readonly name: string
  readonly what: string
  readonly bar: string
  readonly ours: Verdict
  readonly phantun?: Verdict
}

/** A figure may mark its own parts as failed. */
const mark = ({ figure, passed }: Verdict): string =>
  passed || !figure.startsWith('✘') ? `${passed ? '✔' : '✘'} ${figure}` : figure

/** A Markdown table with a row for each scenario. */
export const resultTable = (results: readonly Result[]): string =>
  [
    '| what happens | what must hold | fake-tcp | phantun 0.8.1 |',
    '|---|---|---|---|',
    ...results.map(
      ({ name, what, bar, ours, phantun }) =>
        `| **${name}**: ${what} | ${bar} | ${mark(ours)} | ${phantun ? mark(phantun) : '–'} |`,
    ),
  ].join('\n')

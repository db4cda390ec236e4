const line = (cells: readonly string[]): string => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`

/** A Markdown table. All columns but the first `left` ones are aligned to the right. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[], left = 1): string =>
  [line(head), line(head.map((_, i) => (i < left ? '---' : '--:'))), ...rows.map(line)].join('\n')

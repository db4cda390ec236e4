const barWidth = 30
/** Moves the cursor to the start of the line, and erases the line. */
const startOfLine = '\r\u001b[K'

/** Number of megabytes (10⁶ bytes) with one decimal: '3.1'. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)

/** The progress as one line of text: bar, percent, megabytes and MB/s. `bytes` of `total` have taken `seconds`. */
export const progressLine = (bytes: number, total: number, seconds: number): string => {
  const fraction = total > 0 ? Math.min(1, bytes / total) : 1
  const filled = Math.round(fraction * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const rate = seconds > 0 ? `${(bytes / seconds / 1e6).toFixed(0)} MB/s` : ''
  const percent = `${Math.floor(fraction * 100)} %`.padStart(5)
  return `${bar} ${percent}  ${megabytes(bytes)} of ${megabytes(total)} MB  ${rate}`.trimEnd()
}

/** A line on a terminal that each new text replaces. When the output is no terminal, nothing is written. */
export class StatusLine {
  readonly #out: NodeJS.WriteStream
  /** The text on the line; empty: none. */
  #text = ''

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(text: string): void {
    if (!this.#out.isTTY || text === this.#text) return
    this.#text = text
    this.#out.write(`${startOfLine}${text.slice(0, (this.#out.columns || 80) - 1)}`)
  }

  clear(): void {
    if (this.#text !== '') this.#out.write(startOfLine)
    this.#text = ''
  }
}

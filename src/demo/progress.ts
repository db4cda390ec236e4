const barWidth = 30
/** Sets the cursor to the line's start, and erases what follows. */
const startOfLine = '\r\u001b[K'

/** `3.1 MB`; decimal units throughout, as for bits per second. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)

/** One line: bar, percent, megabytes and MB/s. `fraction` from 0 to 1. */
export const progressLine = (bytes: number, total: number, seconds: number): string => {
  const fraction = total > 0 ? Math.min(1, bytes / total) : 1
  const filled = Math.round(fraction * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const rate = seconds > 0 ? `${(bytes / seconds / 1e6).toFixed(0)} MB/s` : ''
  const percent = `${Math.floor(fraction * 100)} %`.padStart(5)
  return `${bar} ${percent}  ${megabytes(bytes)} of ${megabytes(total)} MB  ${rate}`.trimEnd()
}

/** A line that is written over, on a terminal only; elsewhere nothing of it appears. */
export class StatusLine {
  readonly #out: NodeJS.WriteStream
  /** What stands there; empty: nothing. */
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

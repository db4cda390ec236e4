/** What of the inbound path has run: V8's block coverage of src/, and the addon's own when it was built with `--asan` and clang. */
import { type Profiler, Session } from 'node:inspector'
import { native } from '../../src/native.js'

type Counting = { coverage?(): Uint8Array }

export class Coverage {
  readonly #session = new Session()
  readonly #seen = new Set<string>()
  readonly #native = (native as unknown as Counting).coverage?.()
  readonly #seenNative: Uint8Array

  constructor() {
    this.#seenNative = new Uint8Array(this.#native?.length ?? 0)
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Whether the addon counts, too. */
  get native(): boolean {
    return this.#native !== undefined
  }

  get size(): number {
    return this.#seen.size + this.#seenNative.reduce((sum, bits) => sum + (bits === 0 ? 0 : 1), 0)
  }

  /** Whether anything ran since the last call that never had before. */
  news(): boolean {
    const script = this.#scriptNews()
    return this.#nativeNews() || script
  }

  close(): void {
    this.#session.disconnect()
  }

  #scriptNews(): boolean {
    const before = this.#seen.size
    // Called before `post` returns: the session is to this very thread.
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error
      for (const { url, functions } of (answer as Profiler.TakePreciseCoverageReturnType).result) {
        if (!url.includes('/dist/src/')) continue
        for (const { ranges } of functions) {
          for (const { count, startOffset, endOffset } of ranges) {
            if (count > 0) this.#seen.add(`${url} ${startOffset} ${endOffset}`)
          }
        }
      }
    })
    return this.#seen.size > before
  }

  /** Each edge's count as a power of two, as AFL does: a loop that runs twice as often is news. */
  #nativeNews(): boolean {
    const counts = this.#native
    if (counts === undefined) return false
    let news = false
    for (let i = 0; i < counts.length; i++) {
      if (counts[i] === 0) continue
      const bit = 1 << Math.min(7, 31 - Math.clz32(counts[i]))
      counts[i] = 0
      if ((this.#seenNative[i] & bit) !== 0) continue
      this.#seenNative[i] |= bit
      news = true
    }
    return news
  }
}

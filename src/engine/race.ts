/**
 * Starts attempts one after the other: each one `delayMs` after the one before, or as soon as any fails. The first that
 * succeeds wins (RFC 8305, Happy Eyeballs). Then the others' signal is aborted, and `discard` gets the result of any
 * that succeeds nevertheless. If all fail, rejects with the first attempt's error.
 */
export const race = <T>(
  attempts: readonly ((signal: AbortSignal) => Promise<T>)[],
  delayMs: number,
  discard: (late: T) => void,
): Promise<T> =>
  new Promise((resolve, reject) => {
    const others = new AbortController()
    const errors: Error[] = []
    let next = 0
    let won = false
    let timer: NodeJS.Timeout | undefined
    const start = (): void => {
      clearTimeout(timer)
      const number = next++
      attempts[number](others.signal).then(
        value => {
          if (won) {
            discard(value)
            return
          }
          won = true
          clearTimeout(timer)
          resolve(value)
          others.abort()
        },
        (error: Error) => {
          errors[number] = error
          if (won) return
          if (next < attempts.length) start()
          else if (Object.keys(errors).length === attempts.length) reject(errors[0])
        },
      )
      if (next < attempts.length) timer = setTimeout(start, delayMs)
    }
    start()
  })

/**
 * Starts attempts one after the other, `delayMs` apart or as soon as one fails; the first that succeeds wins (RFC 8305,
 * Happy Eyeballs). The others' signal is aborted then, and what one of them still brings is given to `discard`. Rejects
 * with the first attempt's error when all fail.
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

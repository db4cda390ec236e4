/** Threads for tests: built JavaScript files that answer with one message. */
import { parentPort, Worker, workerData } from 'node:worker_threads'

/** Runs `file` with `data` in a thread of its own; its message, or its error. */
export const runThread = <T>(file: URL, data: unknown): Promise<T> =>
  new Promise((resolve, reject) => {
    // Without the test runner's loaders, which built JavaScript does not need: about 1 s per thread.
    const worker = new Worker(file, { workerData: data, execArgv: [] })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', code => reject(new Error(`thread ended without an answer, code ${code}`)))
  })

/** In the thread: what `runThread` passed. */
export const threadData = <T>(): T => workerData as T
/** In the thread: the answer. */
export const answer = (result: unknown): void => parentPort!.postMessage(result)

const nothing = new Int32Array(new SharedArrayBuffer(4))

/** Gives the processor away for at least `ms` milliseconds. */
export const rest = (ms = 0.05): void => {
  Atomics.wait(nothing, 0, 0, ms)
}

/** Spins, then rests, until `done`; false when that took longer than `limitMs`: something is stuck. */
export const waitUntil = (done: () => boolean, limitMs = 10_000): boolean => {
  for (let spins = 0; spins < 500; spins++) if (done()) return true
  const limit = performance.now() + limitMs
  while (!done()) {
    if (performance.now() > limit) return false
    rest()
  }
  return true
}

/** All threads begin their work together, as exactly as can be: counts down `word`, then waits for the others. */
export const meet = (word: Int32Array): void => {
  Atomics.sub(word, 0, 1)
  waitUntil(() => Atomics.load(word, 0) <= 0)
  // Whoever rested comes a little later.
  const start = performance.now()
  while (performance.now() < start + 1);
}

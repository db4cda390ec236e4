import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { ErrorCode, FakeTcpError } from '../errors.js'
import type { SharedStack } from '../memory/shared-stack.js'
import { native } from '../native.js'
import type { Order, Report } from '../path/messages.js'
import type { QueueTask } from '../workers/queue-worker.js'
import { codeRangeMiB } from './address-space.js'
import { PoolRefs } from './pool-refs.js'
import { Watchdog } from './watchdog.js'

/**
 * Milliseconds after which a worker that has not started counts as stuck. A start takes 60 ms of processor time, but
 * the machine may be busy with much else.
 */
const startTimeoutMs = 30_000
/** A worker that has lived for so many milliseconds did not die of its start. */
const matureMs = 5_000
/** Maximum of milliseconds between the death of a worker and the start of its successor. */
const maxReplaceDelayMs = 5_000
/** Milliseconds after which a worker that has not stopped is terminated. */
const stopTimeoutMs = 5_000

export interface WorkerLimits {
  /** As `StackOptions.stuckAfter`. */
  readonly stuckAfter: number
  /** As `StackOptions.workerHeap`. */
  readonly workerHeap: number
}

/** A worker's reports, except the answers that only this class waits for. */
export type WorkerReport = Exclude<Report, { kind: 'ready' | 'fence' }>

export interface QueueWorkersHooks {
  report(queue: number, report: WorkerReport): void
  /** A worker died, and another one reads its queue now. */
  replaced(queue: number, error: Error): void
}

/**
 * Starts, watches, replaces and stops the queue workers: one piscina task per queue, for as long as the stack is open.
 */
export class QueueWorkers {
  readonly #pool: Piscina
  readonly #refs: PoolRefs
  readonly #shared: SharedStack
  readonly #hooks: QueueWorkersHooks
  readonly #messagePorts: MessagePort[] = []
  /** Per queue: resolves once every report of its worker was handled. */
  readonly #heard: Promise<void>[] = []
  readonly #tasks: Promise<void>[] = []
  /** Per queue: the kernel's number of its worker's thread (undefined: none runs), and how to end that worker. */
  readonly #threads: (number | undefined)[] = []
  readonly #aborts: AbortController[] = []
  readonly #beats: Int32Array
  readonly #watch: NodeJS.Timeout | undefined
  /** Per queue: deaths in a row. Counted anew after a worker that lived for `matureMs`. */
  readonly #deaths: number[] = []
  readonly #fences = new Map<number, { left: Set<number>; resolve: () => void }>()
  #nextFence = 0
  #ref = true
  #stopping = false

  constructor(shared: SharedStack, { stuckAfter, workerHeap }: WorkerLimits, hooks: QueueWorkersHooks) {
    const count = shared.device.queues.length
    this.#shared = shared
    this.#hooks = hooks
    this.#pool = new Piscina({
      filename: new URL('../workers/queue-worker.js', import.meta.url).href,
      // Each task gets a thread of its own. With a minimum above 0, piscina would replace a stuck worker that ends
      // after `destroy`.
      minThreads: 0,
      maxThreads: count,
      concurrentTasksPerWorker: 1,
      ...workerArguments(process.execArgv),
      // A worker runs one endless task. Between two tasks it must not sleep in Atomics.wait, since nobody could tell it
      // to end then.
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: workerHeap, codeRangeSizeMb: codeRangeMiB },
    })
    this.#refs = new PoolRefs(this.#pool)
    // A thread may fail before it has its task. Without a listener this error would end the process.
    this.#pool.on('error', (error: Error) => this.#startFailed(error))
    this.#beats = new Int32Array(shared.beats)
    if (stuckAfter > 0) this.#watch = this.#startWatchdog(stuckAfter)
  }

  get count(): number {
    return this.#shared.device.queues.length
  }

  /** Resolves when every worker reads its queue. Rejects with WORKER. */
  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.count }, (_, queue) => this.#run(queue)))
  }

  /** Sets whether the workers keep the process alive. They do so at first. */
  setRef(ref: boolean): void {
    this.#ref = ref
    this.#refs.setRef(ref)
    for (const messagePort of this.#messagePorts) {
      if (ref) messagePort.ref()
      else messagePort.unref()
    }
  }

  post(queue: number, order: Order): void {
    this.#messagePorts[queue].postMessage(order)
  }

  broadcast(order: Order): void {
    for (const messagePort of this.#messagePorts) messagePort.postMessage(order)
  }

  /**
   * Resolves once every worker has passed on all the packets that it has read so far, and has received every order that
   * was posted before.
   */
  fence(): Promise<void> {
    const id = this.#nextFence++
    return new Promise(resolve => {
      this.#fences.set(id, { left: new Set(Array.from({ length: this.count }, (_, queue) => queue)), resolve })
      this.broadcast({ kind: 'fence', id })
    })
  }

  /** Tells every worker to stop, and waits. Workers that do not stop in time are terminated. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (let queue = 0; queue < this.count; queue++) this.#passAll(queue)
    this.broadcast({ kind: 'stop' })
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise(resolve => {
      timer = setTimeout(resolve, stopTimeoutMs)
    })
    // A worker's last reports come through its port. They may be handled after its task has ended.
    await Promise.race([Promise.allSettled([...this.#tasks, ...this.#heard]), timeout])
    clearTimeout(timer)
    clearInterval(this.#watch)
    for (const messagePort of this.#messagePorts) messagePort.close()
    await this.#pool.destroy()
  }

  #startWatchdog(limit: number): NodeJS.Timeout {
    const watchdog = new Watchdog(this.#beats, limit, {
      thread: queue => this.#threads[queue],
      stuck: (queue, how) => this.#aborts[queue].abort(new Error(`it ${how}`)),
    })
    return setInterval(() => watchdog.tick(native.clock()), watchdog.period).unref()
  }

  #run(queue: number): Promise<void> {
    // While the queue had no worker, nobody could answer its fences.
    this.#passAll(queue)
    const { port1, port2 } = new MessageChannel()
    this.#messagePorts[queue]?.close()
    this.#messagePorts[queue] = port1
    this.#heard[queue] = new Promise(resolve => port1.once('close', resolve))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new FakeTcpError(ErrorCode.WORKER, `The worker of queue ${queue} did not start in ${startTimeoutMs} ms.`),
          ),
        startTimeoutMs,
      )
      port1.on('message', (report: Report) => {
        if (report.kind === 'ready') {
          clearTimeout(timer)
          this.#threads[queue] = report.thread
          resolve()
        } else if (report.kind === 'fence') {
          this.#pass(report.id, queue)
        } else {
          this.#hooks.report(queue, report)
        }
      })
      if (!this.#ref) port1.unref()
      const born = performance.now()
      const task: QueueTask = { queue, shared: this.#shared, messagePort: port2 }
      const abort = new AbortController()
      this.#aborts[queue] = abort
      Atomics.store(this.#beats, queue, 0)
      this.#tasks[queue] = this.#pool.run(task, { transferList: [port2], signal: abort.signal }).then(
        // The worker was told to stop before its `ready` was handled.
        () => clearTimeout(timer),
        (error: Error) => {
          const cause = abort.signal.aborted ? (abort.signal.reason as Error) : error
          clearTimeout(timer)
          this.#threads[queue] = undefined
          this.#passAll(queue)
          if (this.#stopping) return
          reject(new FakeTcpError(ErrorCode.WORKER, `The worker of queue ${queue} failed: ${cause.message}`, { cause }))
          setTimeout(() => this.#replace(queue, cause), this.#replaceDelay(queue, performance.now() - born)).unref()
        },
      )
    })
  }

  /**
   * piscina does not tell for which queue the failed thread was meant. So every worker that has not started is started
   * anew.
   */
  #startFailed(error: Error): void {
    for (const [queue, abort] of this.#aborts.entries()) if (this.#threads[queue] === undefined) abort.abort(error)
  }

  /** The dead worker's state is in shared memory, so its successor reads on where it stopped. */
  #replace(queue: number, cause: Error): void {
    if (this.#stopping) return
    this.#run(queue).then(
      () => this.#hooks.replaced(queue, cause),
      () => {},
    )
  }

  /**
   * Milliseconds until the worker of `queue`, which lived for `lived` ms, is replaced: none at first, and more while
   * the queue's workers keep dying young.
   */
  #replaceDelay(queue: number, lived: number): number {
    const deaths = lived < matureMs ? (this.#deaths[queue] ?? 0) + 1 : 1
    this.#deaths[queue] = deaths
    return deaths === 1 ? 0 : Math.min(5 * 2 ** deaths, maxReplaceDelayMs)
  }

  #pass(id: number, queue: number): void {
    const fence = this.#fences.get(id)
    fence?.left.delete(queue)
    if (fence?.left.size !== 0) return
    this.#fences.delete(id)
    fence.resolve()
  }

  /** Counts as the worker's answer to every fence: a worker that is gone passes nothing on any more. */
  #passAll(queue: number): void {
    for (const id of [...this.#fences.keys()]) this.#pass(id, queue)
  }
}

/** Options of Node.js by which a worker finds and loads modules as the program does. */
const loading = /^(--(import|require|loader|experimental-loader|conditions)$|-[rC]$)/u

/**
 * Options for the workers' threads. Without `execArgv` a thread inherits the program's options. It cannot inherit
 * `--input-type`, which belongs to the program's standard input, and no single option can be left out. So `execArgv`
 * then lists the options that loading modules needs; Node.js refuses V8's options in such a list.
 */
const workerArguments = (inherited: readonly string[]): { execArgv?: string[] } => {
  if (!inherited.some(option => option.startsWith('--input-type'))) return {}
  const execArgv = inherited.flatMap((option, i) => {
    const [name] = option.split('=')
    if (!loading.test(name)) return []
    return option.includes('=') ? [option] : [option, inherited[i + 1]]
  })
  return { execArgv }
}

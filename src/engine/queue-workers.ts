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
 * A worker that has not started within this time is stuck. It takes 60 ms of processor time, but a machine may be busy
 * with much else.
 */
const startPatienceMs = 30_000
/** A worker that has lived this long did not die of its start. */
const matureMs = 5_000
/** Most time between the death of a worker and its successor's start. */
const mostPatienceMs = 5_000
/** One that has not stopped within this time is terminated. */
const stopPatienceMs = 5_000

export interface WorkerLimits {
  /** As `StackOptions.stuckAfter`. */
  readonly stuckAfter: number
  /** As `StackOptions.workerHeap`. */
  readonly workerHeap: number
}

/** What a worker reports, without the answers that the life cycle itself waits for. */
export type WorkerReport = Exclude<Report, { kind: 'ready' | 'fence' }>

export interface QueueWorkersHooks {
  report(queue: number, report: WorkerReport): void
  /** A worker died and another one serves its queue. */
  replaced(queue: number, error: Error): void
}

/** The queue workers' life cycle: one piscina task per queue, for as long as the stack is open. */
export class QueueWorkers {
  readonly #pool: Piscina
  readonly #refs: PoolRefs
  readonly #shared: SharedStack
  readonly #hooks: QueueWorkersHooks
  readonly #messagePorts: MessagePort[] = []
  /** Per queue: settles once everything that its worker reported has been heard. */
  readonly #heard: Promise<void>[] = []
  readonly #tasks: Promise<void>[] = []
  /** Per queue: its worker's thread, and how to end that worker. */
  readonly #threads: (number | undefined)[] = []
  readonly #aborts: AbortController[] = []
  readonly #beats: Int32Array
  readonly #watch: NodeJS.Timeout | undefined
  /** Per queue: workers in a row that died young. */
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
      // Each task gets a thread of its own. With a minimum, piscina would replace a stuck worker that ends after
      // `destroy`.
      minThreads: 0,
      maxThreads: count,
      concurrentTasksPerWorker: 1,
      ...workerArguments(process.execArgv),
      // A worker lives in one endless task; between two it must not sleep in Atomics.wait, or it could not be told to
      // end.
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: workerHeap, codeRangeSizeMb: codeRangeMiB },
    })
    this.#refs = new PoolRefs(this.#pool)
    // A thread that failed before it had its task; without a listener the process would end.
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

  /** Whether the workers keep the process alive; they do at first. */
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

  /** Resolves once every worker has sent off whatever it has read so far, and knows every word told to it before. */
  fence(): Promise<void> {
    const id = this.#nextFence++
    return new Promise(resolve => {
      this.#fences.set(id, { left: new Set(Array.from({ length: this.count }, (_, queue) => queue)), resolve })
      this.broadcast({ kind: 'fence', id })
    })
  }

  /** Tells every worker to stop and waits; one that does not is terminated. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (let queue = 0; queue < this.count; queue++) this.#passAll(queue)
    this.broadcast({ kind: 'stop' })
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise(resolve => {
      timer = setTimeout(resolve, stopPatienceMs)
    })
    // A worker's last words come by its port, and may be later than the end of its task.
    await Promise.race([Promise.allSettled([...this.#tasks, ...this.#heard]), patience])
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
    // While the queue had no worker nobody could answer.
    this.#passAll(queue)
    const { port1, port2 } = new MessageChannel()
    this.#messagePorts[queue]?.close()
    this.#messagePorts[queue] = port1
    this.#heard[queue] = new Promise(resolve => port1.once('close', resolve))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new FakeTcpError(ErrorCode.WORKER, `The worker of queue ${queue} did not start in ${startPatienceMs} ms.`),
          ),
        startPatienceMs,
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
        // Told to stop before anybody heard that it was ready.
        () => clearTimeout(timer),
        (error: Error) => {
          const cause = abort.signal.aborted ? (abort.signal.reason as Error) : error
          clearTimeout(timer)
          this.#threads[queue] = undefined
          this.#passAll(queue)
          if (this.#stopping) return
          reject(new FakeTcpError(ErrorCode.WORKER, `The worker of queue ${queue} failed: ${cause.message}`, { cause }))
          setTimeout(() => this.#replace(queue, cause), this.#patience(queue, performance.now() - born)).unref()
        },
      )
    })
  }

  /** Nobody knows whose thread it was going to be: all that have not started are tried again. */
  #startFailed(error: Error): void {
    for (const [queue, abort] of this.#aborts.entries()) if (this.#threads[queue] === undefined) abort.abort(error)
  }

  /** What the worker knew stands in shared memory; its successor reads on where it stopped. */
  #replace(queue: number, cause: Error): void {
    if (this.#stopping) return
    this.#run(queue).then(
      () => this.#hooks.replaced(queue, cause),
      () => {},
    )
  }

  /**
   * Milliseconds until a worker that lived for `lived` is replaced: none at first, more for one that keeps dying young.
   */
  #patience(queue: number, lived: number): number {
    const deaths = lived < matureMs ? (this.#deaths[queue] ?? 0) + 1 : 1
    this.#deaths[queue] = deaths
    return deaths === 1 ? 0 : Math.min(5 * 2 ** deaths, mostPatienceMs)
  }

  #pass(id: number, queue: number): void {
    const fence = this.#fences.get(id)
    fence?.left.delete(queue)
    if (fence?.left.size !== 0) return
    this.#fences.delete(id)
    fence.resolve()
  }

  /** A worker that is gone has nothing on its way. */
  #passAll(queue: number): void {
    for (const id of [...this.#fences.keys()]) this.#pass(id, queue)
  }
}

/** Options of Node.js that a worker may need to load a service as the program itself would. */
const loading = /^(--(import|require|loader|experimental-loader|conditions)$|-[rC]$)/u

/**
 * How the workers' threads are started. They inherit the program's options, but for `--input-type`, which belongs to its
 * standard input. Node.js takes no inherited option back, and refuses V8's where they are listed: so only those by which
 * modules are loaded are.
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

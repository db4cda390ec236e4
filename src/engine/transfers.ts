import { BroadcastChannel } from 'node:worker_threads'
import type { FlowId } from '../memory/flow-table.js'
import { Field, type FlowTable } from '../memory/flow-table.js'
import type { SharedStack } from '../memory/shared-stack.js'
import { native, type Poller, Ready } from '../native.js'
import type { End } from '../path/messages.js'
import { giveBackThread } from '../sockets/thread-claims.js'
import type { Notice, Request, Residue } from '../sockets/transfer-messages.js'

/** Milliseconds that a closing stack waits for the threads that hold its sockets. */
const leaveTimeoutMs = 1_000
const eventPairs = 16

/** What transfers need of the coordinator. */
export interface TransferHooks {
  /** Replaces the function that is called when the connection ends. */
  rehome(id: FlowId, ended: (end: End) => void): void
  /** Resolves once every worker has passed on all the packets that it has read so far. */
  fence(): Promise<void>
  end(id: FlowId): void
}

/**
 * Where a connection is, once it was offered to other threads. Before that it belongs to an ordinary socket of this
 * thread, and `Transfers` does not know it.
 *
 *                    attach                    the fence has passed, and
 *                 (of thread `to`)             `from` has surrendered it
 *     offered ───────────────────────▶ moving ───────────────────────────▶ held
 *      ▲    │                             │                                │  │
 *      │    │                             │ the connection ends            │  │
 *      │    └───────────────────────────▶ ended ◀──────────────────────────┘  │
 *      │                                                                      │
 *      └──────────────────────────────────────────────────────────────────────┘
 *                 `transfer` in the thread that holds it
 *
 * - offered: any thread may attach it. Until then `holder`, which had it last, consumes what comes.
 * - moving: new datagrams go to the thread `to`, and `from` hands over what it has not read. No third thread may attach
 *   it.
 * - held: a socket of the thread `holder` consumes it.
 * - ended: the connection is gone. If it was moving, the thread `to` is told once the connection has arrived there.
 *
 * Only the coordinator changes the phase. When the thread `holder` ends, the connection ends too. A connection that is
 * moving arrives first.
 */
type Phase =
  | { readonly kind: 'offered' | 'held'; readonly holder: number }
  | { readonly kind: 'moving'; readonly from: number; readonly to: number }
  | { readonly kind: 'ended'; readonly end: End }

/** A connection that was offered to other threads, or is held by one. */
interface Away extends FlowId {
  phase: Phase
  /** Takes the connection from this thread, its first holder. Answers what was not read. */
  readonly surrender: () => Residue[]
  readonly ended: (end: End) => void
}

/**
 * Moves connections between the sockets of different threads, for the coordinator. Notices when a thread that holds
 * sockets ends.
 */
export class Transfers {
  readonly #shared: SharedStack
  readonly #flows: FlowTable
  readonly #hooks: TransferHooks
  /** The coordinator's thread number. The numbers of the other threads that may hold sockets follow it. */
  readonly #thread: number
  readonly #away = new Map<number, Away>()
  readonly #recalls = new Map<number, { holder: number; resolve: (residue: Residue[]) => void }>()
  /** By thread: our duplicate of its lifeline, which becomes readable when the thread ends. */
  readonly #lifelines = new Map<number, number>()
  #channel: BroadcastChannel | undefined
  #poller: Poller | undefined
  #events = 0
  #onLeft = () => {}

  constructor(shared: SharedStack, flows: FlowTable, hooks: TransferHooks) {
    this.#shared = shared
    this.#flows = flows
    this.#hooks = hooks
    this.#thread = shared.device.queues.length
  }

  /**
   * Another thread may attach this socket of our thread from now on. `ended` is called when the connection ends,
   * whichever thread holds it then.
   */
  offer(id: FlowId, surrender: () => Residue[], ended: (end: End) => void): void {
    this.#open()
    const { slot, generation } = id
    const away: Away = { slot, generation, phase: { kind: 'offered', holder: this.#thread }, surrender, ended }
    this.#away.set(slot, away)
    this.#hooks.rehome(id, end => this.#ended(away, end))
  }

  /**
   * Call when every connection has ended. Resolves when the threads have released what is shared, or after a timeout:
   * with the numbers of those that have not.
   */
  async close(): Promise<Set<number>> {
    for (const thread of this.#lifelines.keys()) this.#post({ to: thread, kind: 'stackClosed' })
    if (this.#lifelines.size > 0) {
      this.#poller?.ref()
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.#onLeft = resolve
        timer = setTimeout(resolve, leaveTimeoutMs)
      })
      clearTimeout(timer)
    }
    const stayed = new Set(this.#lifelines.keys())
    for (const fd of this.#lifelines.values()) native.close(fd)
    this.#poller?.close()
    if (this.#poller !== undefined) native.arenaClose(this.#events)
    this.#channel?.close()
    return stayed
  }

  #open(): void {
    if (this.#channel !== undefined) return
    this.#channel = new BroadcastChannel(this.#shared.channel)
    this.#channel.onmessage = message => this.#requested((message as { data: Request | Notice }).data)
    this.#channel.unref()
    const events = new Int32Array(eventPairs * 2)
    this.#events = native.arenaOpen(new Uint8Array(events.buffer))
    this.#poller = new native.Poller(this.#events, eventPairs, count => {
      for (let i = 0; i < count; i++) void this.#left(events[i * 2])
    })
    this.#poller.unref()
  }

  #requested(request: Request | Notice): void {
    if (request.to !== 'stack') return
    switch (request.kind) {
      case 'attach':
        void this.#attach(request)
        break
      case 'offer': {
        const away = this.#find(request)
        if (away?.phase.kind === 'held') away.phase = { kind: 'offered', holder: away.phase.holder }
        break
      }
      case 'end':
        this.#hooks.end(request)
        break
      case 'surrendered':
        this.#surrendered(request.slot, request.residue)
        break
      default:
        request satisfies never
    }
  }

  #find({ slot, generation }: FlowId): Away | undefined {
    const away = this.#away.get(slot)
    return away?.generation === generation ? away : undefined
  }

  async #attach(request: Extract<Request, { kind: 'attach' }>): Promise<void> {
    const { slot, generation, thread, lifeline } = request
    const away = this.#find(request)
    const watched = this.#watch(thread, lifeline)
    if (!watched || away?.phase.kind !== 'offered') {
      this.#post({ to: thread, kind: 'refused', slot, generation })
      return
    }
    const from = away.phase.holder
    away.phase = { kind: 'moving', from, to: thread }
    this.#flows.store(slot, Field.consumer, thread)
    await this.#hooks.fence()
    const residue = from === this.#thread ? away.surrender() : await this.#recall(from, away)
    this.#post({ to: thread, kind: 'attached', slot, generation, residue })
    this.#arrived(away, thread)
  }

  /** Ends the move. Meanwhile the connection, or the thread that it goes to, may have ended. */
  #arrived(away: Away, thread: number): void {
    const { slot, generation, phase } = away
    if (phase.kind === 'ended') {
      this.#post({ to: thread, kind: 'ended', slot, generation, end: phase.end })
      return
    }
    away.phase = { kind: 'held', holder: thread }
    if (!this.#lifelines.has(thread)) this.#hooks.end(away)
  }

  #recall(holder: number, { slot, generation }: FlowId): Promise<Residue[]> {
    if (!this.#lifelines.has(holder)) return Promise.resolve([])
    return new Promise(resolve => {
      this.#recalls.set(slot, { holder, resolve })
      this.#post({ to: holder, kind: 'surrender', slot, generation })
    })
  }

  #surrendered(slot: number, residue: Residue[]): void {
    this.#recalls.get(slot)?.resolve(residue)
    this.#recalls.delete(slot)
  }

  #ended(away: Away, end: End): void {
    const { slot, generation, phase } = away
    away.phase = { kind: 'ended', end }
    this.#away.delete(slot)
    away.ended(end)
    const holder = holderOf(phase)
    if (holder === undefined || holder === this.#thread) return
    this.#post({ to: holder, kind: 'ended', slot, generation, end })
  }

  /** Watches for the thread's end. False when it has ended already, or the kernel refuses to watch. */
  #watch(thread: number, lifeline: number): boolean {
    if (this.#lifelines.has(thread)) return true
    const fd = native.duplicate(lifeline)
    if (fd < 0) return false
    if (this.#poller !== undefined && this.#poller.add(fd, thread, Ready.read) < 0) {
      native.close(fd)
      return false
    }
    this.#lifelines.set(thread, fd)
    return true
  }

  /** A thread has ended, or has let go of a closing stack. */
  async #left(thread: number): Promise<void> {
    const fd = this.#lifelines.get(thread)
    if (fd === undefined) return
    this.#poller?.remove(fd)
    native.close(fd)
    this.#lifelines.delete(thread)
    if (this.#lifelines.size === 0) this.#onLeft()
    for (const [slot, { holder }] of this.#recalls) if (holder === thread) this.#surrendered(slot, [])
    for (const away of [...this.#away.values()]) if (holderOf(away.phase) === thread) this.#hooks.end(away)
    // After the fence no worker sends to this thread any more. So another thread may have its number.
    await this.#hooks.fence()
    giveBackThread(this.#shared, thread)
  }

  #post(notice: Notice): void {
    this.#channel?.postMessage(notice)
  }
}

/** The thread whose socket holds the connection; undefined while it moves, and after its end. */
const holderOf = (phase: Phase): number | undefined =>
  phase.kind === 'offered' || phase.kind === 'held' ? phase.holder : undefined

import { BroadcastChannel } from 'node:worker_threads'
import { ErrorCode, FakeTcpError } from '../errors.js'
import type { FlowId } from '../memory/flow-table.js'
import { type SharedStack, StackMemory } from '../memory/shared-stack.js'
import { errnoName, native } from '../native.js'
import { Egress } from '../path/egress.js'
import { type HeldSocket, LocalSockets, type MakeSocket } from './local-sockets.js'
import { claimThread, giveBackThread } from './thread-claims.js'
import { ThreadInbox } from './thread-inbox.js'
import type { Notice, Request, SocketHandle } from './transfer-messages.js'

/** A connection that this thread has asked for, and not yet got. */
interface Attaching<S> {
  readonly generation: number
  readonly resolve: (socket: S) => void
  readonly reject: (error: FakeTcpError) => void
}

/**
 * This thread's part in the stack of another thread: its sockets, its lanes, and its channel to the coordinator. A
 * thread has one for each stack whose sockets it has attached.
 */
export class ConsumerThread<S extends HeldSocket> {
  /** By the name of the stack's channel. */
  static readonly #threads = new Map<string, ConsumerThread<HeldSocket>>()

  /** Name of the stack's channel. */
  readonly #stack: string
  readonly #thread: number
  readonly #channel: BroadcastChannel
  readonly #egress: Egress
  readonly #inbox: ThreadInbox
  readonly #sockets: LocalSockets<S>
  /**
   * A socket pair. The coordinator watches a duplicate of the second descriptor. When this thread ends, however that
   * happens, the first one is closed, and the coordinator notices.
   */
  readonly #lifeline: Int32Array
  /** By slot. */
  readonly #attaching = new Map<number, Attaching<S>>()

  /**
   * Takes over the connection of a handle. Rejects with CLOSED, with CONSUMERS_EXHAUSTED when too many threads have
   * sockets of its stack, or with DEVICE when the kernel refuses a descriptor.
   */
  static async attach<S extends HeldSocket>(handle: SocketHandle, make: MakeSocket<S>): Promise<S> {
    const { shared, receiveBytes, slot, generation } = handle
    // Every caller in a thread passes the same `make`, so S is the same for all of its sockets.
    let thread = ConsumerThread.#threads.get(shared.channel) as ConsumerThread<S> | undefined
    if (thread === undefined) {
      const number = claimThread(shared)
      try {
        thread = new ConsumerThread(shared, number, receiveBytes, make)
      } catch (error) {
        giveBackThread(shared, number)
        throw error
      }
      ConsumerThread.#threads.set(shared.channel, thread as unknown as ConsumerThread<HeldSocket>)
    }
    return thread.#attach({ slot, generation })
  }

  private constructor(shared: SharedStack, thread: number, receiveBytes: number, make: MakeSocket<S>) {
    this.#lifeline = new Int32Array(2)
    const result = native.pairOpen(this.#lifeline)
    if (result < 0) {
      throw new FakeTcpError(
        ErrorCode.DEVICE,
        `This thread cannot attach a connection: no descriptor (${errnoName(result)}).`,
      )
    }
    const memory = new StackMemory(shared)
    const counters = memory.counters(thread)
    this.#stack = shared.channel
    this.#thread = thread
    this.#egress = new Egress(memory, counters)
    this.#sockets = new LocalSockets(memory, counters, this.#egress, receiveBytes, {
      make,
      end: ({ slot, generation }) => this.#post({ to: 'stack', kind: 'end', slot, generation }),
      offered: ({ slot, generation }) => this.#post({ to: 'stack', kind: 'offer', slot, generation }),
    })
    this.#inbox = new ThreadInbox(memory, thread, (...delivery) => this.#sockets.deliver(...delivery))
    this.#channel = new BroadcastChannel(shared.channel)
    this.#channel.onmessage = message => this.#noticed((message as { data: Notice }).data)
  }

  #attach(flow: FlowId): Promise<S> {
    const { slot, generation } = flow
    return new Promise((resolve, reject) => {
      if (this.#attaching.has(slot) || this.#sockets.get(flow) !== undefined) {
        reject(new FakeTcpError(ErrorCode.CLOSED, 'This thread has attached that connection already.'))
        return
      }
      this.#attaching.set(slot, { generation, resolve, reject })
      // The coordinator may direct datagrams to this thread before it answers. They wait in this socket, and `attached`
      // brings the earlier ones, which go in front.
      this.#sockets.add(flow)
      this.#live()
      this.#post({ to: 'stack', kind: 'attach', thread: this.#thread, lifeline: this.#lifeline[1], slot, generation })
    })
  }

  /** A message from the coordinator. */
  #noticed(notice: Notice): void {
    if (notice.to !== this.#thread) return
    if (notice.kind === 'stackClosed') {
      this.#close()
      return
    }
    const { slot, generation } = notice
    switch (notice.kind) {
      case 'attached': {
        const socket = this.#sockets.get(notice)
        if (socket === undefined) break
        socket.receivedBefore(notice.residue)
        this.#attaching.get(slot)?.resolve(socket)
        this.#attaching.delete(slot)
        break
      }
      case 'refused':
        this.#sockets.remove(notice)
        this.#attaching.get(slot)?.reject(closed())
        this.#attaching.delete(slot)
        break
      case 'surrender': {
        this.#inbox.drain()
        const residue = this.#sockets.remove(notice)?.surrender() ?? []
        this.#post({ to: 'stack', kind: 'surrendered', slot, generation, residue })
        break
      }
      case 'ended':
        // Datagrams that came before the end of the connection are still in the lanes.
        this.#inbox.drain()
        this.#sockets.ended(notice, notice.end)
        break
      default:
        notice satisfies never
    }
    this.#live()
  }

  /** Keeps the thread alive while it has sockets. */
  #live(): void {
    if (this.#sockets.size > 0) {
      this.#inbox.ref()
      this.#channel.ref()
    } else {
      this.#inbox.unref()
      this.#channel.unref()
    }
  }

  /** The stack was closed. */
  #close(): void {
    for (const { reject } of this.#attaching.values()) reject(closed())
    ConsumerThread.#threads.delete(this.#stack)
    this.#sockets.leaveLanes()
    this.#inbox.close()
    this.#egress.close()
    this.#channel.close()
    for (const fd of this.#lifeline) native.close(fd)
  }

  #post(request: Request): void {
    this.#channel.postMessage(request)
  }
}

const closed = (): FakeTcpError =>
  new FakeTcpError(ErrorCode.CLOSED, 'This connection is closed, or another thread has attached it.')

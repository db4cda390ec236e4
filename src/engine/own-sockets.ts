import type { CounterPage } from '../memory/counters.js'
import type { FlowId } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import type { Egress } from '../path/egress.js'
import { LocalSockets } from '../sockets/local-sockets.js'
import { Socket } from '../sockets/socket.js'
import { ThreadInbox } from '../sockets/thread-inbox.js'
import type { FlowUser } from './acceptor.js'
import type { Transfers } from './transfers.js'

export interface OwnSocketsParts {
  readonly memory: StackMemory
  readonly egress: Egress
  readonly counters: CounterPage
  readonly transfers: Transfers
  /** As `StackOptions.receiveBytes`. */
  readonly receiveBytes: number
  /** Ends a connection with RST. */
  end(flow: FlowId): void
}

/** The sockets of the stack's own thread, and the lanes by which workers send them datagrams. */
export class OwnSockets {
  /** The user of every connection that one of these sockets consumes. */
  readonly user: FlowUser
  readonly #sockets: LocalSockets<Socket>
  readonly #inbox: ThreadInbox

  constructor({ memory, egress, counters, transfers, receiveBytes, end }: OwnSocketsParts) {
    const thread = memory.shared.device.queues.length
    const sockets = new LocalSockets<Socket>(memory, counters, egress, receiveBytes, {
      make: (home, flow, local) => new Socket(home, flow, local),
      end,
      offered: socket => {
        const remove = () => sockets.remove(socket)
        const surrender = () => {
          this.drain()
          remove()
          return socket.surrender()
        }
        transfers.offer(socket, surrender, end => {
          remove()
          socket.ended(end)
        })
      },
    })
    this.#sockets = sockets
    this.#inbox = new ThreadInbox(memory, thread, (...delivery) => sockets.deliver(...delivery))
    this.user = { consumer: thread, service: -1, token: 0, ended: (flow, end) => sockets.ended(flow, end) }
  }

  /** Makes the socket of a connection. */
  add(flow: FlowId): Socket {
    return this.#sockets.add(flow)
  }

  /** Writes every open super-packet now. */
  flush(): void {
    this.#sockets.flush()
  }

  /** As `ThreadInbox.drain`. */
  drain(): void {
    this.#inbox.drain()
  }

  /** Sets whether the sockets keep the process alive. They do so at first. */
  setRef(ref: boolean): void {
    if (ref) this.#inbox.ref()
    else this.#inbox.unref()
  }

  /** Closes the lanes. Call when every connection has ended. */
  close(): void {
    this.#inbox.close()
  }
}

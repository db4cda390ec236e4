import { ErrorCode, FakeTcpError } from '../errors.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId, State } from '../memory/flow-table.js'
import { native } from '../native.js'
import { remoteAddress } from '../net/address.js'
import type { Order, Report } from '../path/messages.js'
import type { Connections, NewConnection } from './connections.js'
import type { Ports } from './ports.js'

export interface AcceptingParts {
  readonly connections: Connections
  readonly ports: Ports
  readonly counters: CounterPage
  post(queue: number, order: Order): void
}

/**
 * Accepts connections: decides what becomes of a handshake that a worker has found complete, and answers that worker.
 */
export class Accepting {
  readonly #parts: AcceptingParts

  constructor(parts: AcceptingParts) {
    this.#parts = parts
  }

  /** The third packet of a handshake came on `queue`: this is where an accepted connection begins. */
  handshake(queue: number, report: Extract<Report, { kind: 'handshake' }>): void {
    const { key, seq, ack } = report
    const { connections, ports, counters, post } = this.#parts
    const { flows, table, witness } = connections
    const now = native.clock()
    const remote = remoteAddress(report.tuple)
    const remotePort = report.tuple.ports >>> 16
    const localPort = report.tuple.ports & 0xffff
    const known = table.find(remote, remotePort, localPort)
    if (known >= 0) {
      // Two queues saw the handshake; the second one only learns what the first one began.
      counters[Counter.duplicateOpen] += 1
      post(queue, { kind: 'opened', slot: known, generation: flows.load(known, Field.generation), key })
      return
    }
    const tuple = { remote, remotePort, localPort }
    const acceptor = ports.acceptor(localPort)
    if (acceptor === undefined || table.quarantined(remote, remotePort, localPort, now)) {
      this.#refuse(queue, key)
      witness.refused(tuple, 'in', acceptor === undefined ? 'not-listening' : 'quarantined')
      return
    }
    if (!acceptor.admits()) {
      counters[Counter.backlogFull] += 1
      post(queue, { kind: 'turnedDown', key, reset: false })
      witness.refused(tuple, 'in', 'backlog-full')
      return
    }
    const numbers = { state: State.established, homeQueue: queue, nextSeq: ack, nextAck: seq }
    const flow = this.#begin({ ...tuple, ...numbers, user: acceptor.user(queue) }, now)
    if (flow === undefined) {
      this.#refuse(queue, key)
      witness.refused(tuple, 'in', 'table-full')
      return
    }
    acceptor.accepted(flow)
    post(queue, { kind: 'opened', ...flow, key })
    witness.opened(flow, 'in')
  }

  /** Undefined when every slot is in use. */
  #begin(connection: NewConnection, now: number): FlowId | undefined {
    try {
      return this.#parts.connections.begin(connection, now)
    } catch (error) {
      if (error instanceof FakeTcpError && error.code === ErrorCode.TABLE_FULL) return undefined
      throw error
    }
  }

  /** The peer takes the connection for open, and is told that it is not. */
  #refuse(queue: number, key: string): void {
    this.#parts.counters[Counter.openRefused] += 1
    this.#parts.post(queue, { kind: 'turnedDown', key, reset: true })
  }
}

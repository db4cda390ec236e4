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
 * Decides about each handshake that a worker reports as complete: makes the connection or turns it down, and answers
 * the worker.
 */
export class Accepting {
  readonly #parts: AcceptingParts

  constructor(parts: AcceptingParts) {
    this.#parts = parts
  }

  /** A worker on `queue` reports the third packet of a handshake. An accepted connection begins here. */
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
      // The same handshake was reported before, since its packets came on two queues. This worker only learns the slot.
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

  /** The peer considers the connection open. So the worker sends it a RST. */
  #refuse(queue: number, key: string): void {
    this.#parts.counters[Counter.openRefused] += 1
    this.#parts.post(queue, { kind: 'turnedDown', key, reset: true })
  }
}

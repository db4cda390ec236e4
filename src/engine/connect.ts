import { ErrorCode, type FakeTcpError } from '../errors.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId, State } from '../memory/flow-table.js'
import { native } from '../native.js'
import { type Address, endpoint, remoteAddress } from '../net/address.js'
import type { Egress } from '../path/egress.js'
import { End, type Order, type Report } from '../path/messages.js'
import type { FlowUser } from './acceptor.js'
import type { Connections } from './connections.js'
import type { ConnectionRefused } from './diagnostics.js'
import { Handshakes } from './handshakes.js'
import { connectNumbers } from './options.js'
import type { Ports } from './ports.js'
import { race } from './race.js'

/** Milliseconds between the attempts to reach two addresses of the same peer (RFC 8305 §5). */
const raceDelayMs = 250
/** Sequence number of a stock server's SYN+ACK. Ours has a cookie there. */
const stockServerSeq = 0

export interface ConnectRequest {
  readonly remote: Address
  readonly port: number
  readonly user: FlowUser
  /** Milliseconds. */
  readonly timeout: number
  readonly signal?: AbortSignal
  /** The flow's home queue. Default: the queues take turns. */
  readonly queue?: number
}

export interface ConnectingParts {
  readonly connections: Connections
  readonly ports: Ports
  readonly egress: Egress
  readonly counters: CounterPage
  readonly queues: number
  post(queue: number, order: Order): void
  /** Throws NO_ADDRESS when the stack has no address of the remote's family. */
  checkFamily(remote: Address): void
}

/** Opens connections for the sockets of this thread, and for the services in the workers. */
export class Connecting {
  readonly #parts: ConnectingParts
  readonly #handshakes = new Handshakes()
  #nextQueue = 0

  constructor(parts: ConnectingParts) {
    this.#parts = parts
  }

  /**
   * Resolves with the result of `use`. That is called at the moment when the flow is established: before it can end,
   * and before any of its datagrams can be delivered. Rejects with CONNECT_TIMEOUT, CONNECT_REFUSED, ABORTED,
   * PORTS_EXHAUSTED, TABLE_FULL, NO_ADDRESS or CLOSED.
   */
  connect<T>(request: ConnectRequest, use: (flow: FlowId) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const { connections, ports, egress, counters, queues, checkFamily } = this.#parts
      const { remote, port, user, timeout, signal } = request
      checkFamily(remote)
      const now = native.clock()
      const wanted = request.queue ?? this.#nextQueue++ % queues
      const { localPort, queue } = ports.choose(remote, port, wanted, now)
      const numbers = { state: State.synSent, homeQueue: queue, nextSeq: 1, nextAck: 0 }
      const flow = connections.begin({ remote, remotePort: port, localPort, ...numbers, user }, now)
      counters[Counter.connectsBegun] += 1
      this.#handshakes.begin({
        ...flow,
        target: endpoint(remote.text, port),
        timeout,
        ...(signal && { signal }),
        syn: () => egress.syn(flow.slot),
        done: error => {
          if (error === undefined) {
            counters[Counter.connectsDone] += 1
            resolve(use(flow))
            connections.witness.opened(flow, 'out')
          } else {
            // The peer gets a RST, since its SYN+ACK may be under way and comes too late. A peer that refused needs
            // none.
            connections.end(flow, End.local, error.code !== ErrorCode.CONNECT_REFUSED)
            reject(error)
            connections.witness.refused({ remote, remotePort: port, localPort }, 'out', refusalOf(error.code))
          }
        },
      })
    })
  }

  /**
   * A service asks for a connection to one of several addresses, if possible on its worker's queue. Tells that worker
   * what became of it.
   */
  connectForService(queue: number, request: Extract<Report, { kind: 'connect' }>): void {
    const { connections, counters, post } = this.#parts
    const { service, token, port, targets } = request
    const user: FlowUser = { consumer: queue, service, token }
    const timeout = connectNumbers.timeout.default
    const attempts = targets.map(target => (signal: AbortSignal) => {
      const attempt = { remote: remoteAddress(target), port, user, queue, timeout, signal }
      return this.connect(attempt, flow => flow)
    })
    race(attempts, raceDelayMs, flow => connections.end(flow, End.local, true)).then(
      flow => post(queue, { kind: 'connected', ...flow, service, token }),
      (error: FakeTcpError) => {
        counters[Counter.connectFailed] += 1
        post(queue, { kind: 'connectFailed', service, token, code: error.code, message: error.message })
      },
    )
  }

  /** A worker reports a SYN+ACK for a connection that we opened. */
  answered(report: Extract<Report, { kind: 'synAck' }>): void {
    const { slot, seq } = report
    const { connections, egress, counters } = this.#parts
    const { flows, table } = connections
    if (!flows.alive(report) || flows.load(slot, Field.state) !== State.synSent) {
      counters[Counter.strayHandshake] += 1
      return
    }
    const now = native.clock()
    table.setNumbers(slot, 1, (seq + 1) | 0, now)
    flows.store(slot, Field.state, State.established)
    egress.ack(slot, now)
    // Until a server sends its first packet after the SYN+ACK, conntrack takes its window for 64 KiB. A stock server is
    // silent for long, so a probe makes it answer (docs/decisions/early-acks.md). Our server sends ACKs early.
    if (seq === stockServerSeq) egress.ack(slot, now, 1)
    this.#handshakes.answered(report)
  }

  /** A worker reports a RST for a connection that we opened. */
  refused(report: Extract<Report, { kind: 'refused' }>): void {
    if (!this.#handshakes.refused(report)) this.#parts.counters[Counter.strayHandshake] += 1
  }

  /** Fails every attempt that has no answer yet, each with an error of its own. */
  abandonAll(error: () => FakeTcpError): void {
    this.#handshakes.abandonAll(error)
  }
}

/** The reason for the diagnostics channel, by the error of the attempt. */
const refusalOf = (code: FakeTcpError['code']): ConnectionRefused['reason'] => {
  if (code === ErrorCode.CONNECT_REFUSED) return 'refused'
  if (code === ErrorCode.CONNECT_TIMEOUT) return 'timeout'
  return code === ErrorCode.ABORTED ? 'aborted' : 'stack'
}

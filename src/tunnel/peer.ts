import { ErrorCode } from '../errors.js'
import { Message, native } from '../native.js'
import { endpoint, fromBytes } from '../net/address.js'
import type { CloseReason } from '../path/messages.js'
import { noSocket, type Route } from '../udp/route.js'
import type { UdpSocket } from '../udp/socket.js'
import type { ServiceFlow } from '../workers/service.js'
import { Activity } from './activity.js'
import type { TunnelContext } from './counters.js'
import type { Entrance } from './entrance.js'
import type { FarEnd } from './far-end.js'
import type { LimitedFlow } from './flow-set.js'
import { Held, type HeldRoom } from './held.js'
import type { Intake, UdpIntake } from './intake.js'
import type { ServiceOptions } from './options.js'
import { Pause } from './pause.js'
import { sendSingle } from './single.js'

/** What the peers of one worker share. */
export interface Peers {
  readonly context: TunnelContext
  readonly entrance: Entrance
  readonly intake: UdpIntake
  readonly farEnd: FarEnd
  readonly heldRoom: HeldRoom
  readonly options: ServiceOptions
  /** The client sends it as the first datagram of every connection. */
  readonly handshakePacket: Uint8Array | undefined
  /** Removes a peer from the service. */
  forget(peer: Peer): void
}

/** Milliseconds between a failed attempt to connect and the next one: the first pause, the maximum. */
const attemptPause = [100, 4_000] as const
/**
 * A connection that the server resets within this many milliseconds, before any datagram came back, counts as a failed
 * attempt.
 */
const briefLifeMs = 2_000
/** Idle timeout in milliseconds of a source that has no connection. */
const waitingIdleMs = 30_000

/** Map key of a message's source: port, address and interface. `record`: first word of the message's record. */
export const sourceKey = (records: Int32Array, record: number): string => {
  const { port, address, scope } = Message
  const word = (field: number) => records[record + field]
  return `${word(port)},${word(address)},${word(address + 1)},${word(address + 2)},${word(address + 3)},${word(scope)}`
}

/** The open connection of a peer, as the intake sees it. */
interface Open extends Intake {
  readonly openedAt: number
}

/**
 * One UDP source of the client and its connection to the server. While the connection is not open the peer holds the
 * source's datagrams, and tries to connect with growing pauses. A waiting source is forgotten when it is idle.
 *
 *     waiting ─ has datagrams, pause is over ─> connecting ─ opened ─> open ─ closed ─> forgotten
 *        ^──────────── failed ───────────────────────┘                   │
 *        ^──────────── the server ended it at once ──────────────────────┘
 */
export class Peer implements Route, LimitedFlow {
  readonly token: number
  readonly key: string
  readonly port: number
  readonly address: Int32Array
  /**
   * Address of this machine that the source sent to last. Answers leave from it: the source would not accept them from
   * another one. All zero: the kernel chooses.
   */
  readonly local: Int32Array
  readonly scope: number
  readonly activity: Activity
  singleFrom = Number.POSITIVE_INFINITY
  open: Open | undefined
  readonly #peers: Peers
  readonly #held: Held
  readonly #pause = new Pause(...attemptPause)
  #connecting = false
  #connectAt = 0
  #saidUnheard = false

  constructor(peers: Peers, token: number, record: number) {
    const { records } = peers.intake
    const { port, address, local, scope } = Message
    this.#peers = peers
    this.#held = new Held(peers.heldRoom)
    this.token = token
    this.key = sourceKey(records, record)
    this.port = records[record + port]
    this.address = records.slice(record + address, record + address + 4)
    this.local = records.slice(record + local, record + local + 4)
    this.scope = records[record + scope]
    this.activity = new Activity(peers.context.now())
  }

  get socket(): UdpSocket {
    return this.#peers.entrance.socket ?? noSocket
  }

  /** 'address:port' */
  get source(): string {
    const bytes = new Uint8Array(this.address.buffer.slice(0, this.socket.family === 4 ? 4 : 16))
    const { text } = fromBytes(bytes)
    const zone = text.startsWith('fe80:') ? `%${native.interfaceName(this.scope)}` : ''
    return endpoint(text + zone, this.port)
  }

  get fields(): Record<string, unknown> {
    return { source: this.source }
  }

  /** Whether this source sent a message. `record`: first word of the message's record. */
  sent(records: Int32Array, record: number): boolean {
    const { port, address, scope } = Message
    return (
      records[record + port] === this.port &&
      records[record + address] === this.address[0] &&
      records[record + address + 3] === this.address[3] &&
      records[record + address + 2] === this.address[2] &&
      records[record + address + 1] === this.address[1] &&
      records[record + scope] === this.scope
    )
  }

  /** Takes a message of this source. The connection to send it to; undefined when the peer has taken its datagrams. */
  take(record: number): Intake | undefined {
    const { context, intake } = this.#peers
    const { records } = intake
    this.activity.out(context.now(), intake.isSeveral(record))
    this.#answerFrom(records, record + Message.local)
    if (this.open === undefined) {
      this.#hold(record)
      this.connect()
    }
    return this.open
  }

  /** Begins an attempt to connect if datagrams are held, the server's address is known, and the pause is over. */
  connect(): void {
    const { context, farEnd } = this.#peers
    if (this.open !== undefined || this.#connecting || context.now() < this.#connectAt) return
    context.count('heldExpired', this.#held.expire(context.now()))
    const { addresses, port } = farEnd
    if (this.#held.size === 0 || addresses.length === 0) return
    this.#connecting = true
    context.connect(this.token, addresses, port)
  }

  /** The connection is open: sends the handshake packet, then the held datagrams in order. */
  opened(flow: ServiceFlow): void {
    const { context, farEnd, handshakePacket } = this.#peers
    this.#connecting = false
    const { fields } = this
    const open = { flow, first: -1, last: -1, saidOversize: false, fields, openedAt: context.now() }
    this.open = open
    this.activity.restartWaiting(context.now())
    farEnd.answered()
    context.count('heldExpired', this.#held.expire(context.now()))
    if (handshakePacket !== undefined) sendSingle(context, open, handshakePacket)
    for (const datagram of this.#held.take()) sendSingle(context, open, datagram)
  }

  /** The connection has ended. */
  closed(reason: CloseReason): void {
    const { context, farEnd } = this.#peers
    const { open } = this
    this.open = undefined
    if (reason === 'reset' || reason === 'timeout') farEnd.doubt()
    context.log('info', 'connection-closed', 'connection closed', this.fields)
    const brought = open !== undefined && this.activity.inAt >= open.openedAt
    const brief = open !== undefined && context.now() - open.openedAt < briefLifeMs
    if (reason === 'reset' && brief && !brought) this.#wait()
    else this.#peers.forget(this)
  }

  connectFailed(error: { code: string; message: string }): void {
    this.#connecting = false
    // CLOSED: the server accepted the connection and ended it at once, so it can be reached.
    if (error.code !== ErrorCode.CLOSED) this.#peers.farEnd.failed(error, this.fields)
    this.#wait()
  }

  /** Nothing to do: all sources share one socket, and the error may be about another one's datagram. */
  reported(): void {}

  /**
   * This machine may have lost the address that answers left from: lets the kernel choose one. False when it chose
   * already.
   */
  refused(): boolean {
    if (this.local.every(word => word === 0)) return false
    this.local.fill(0)
    return true
  }

  isIdle(now: number): boolean {
    if (this.open !== undefined) return this.activity.isIdle(now, this.#peers.options.idleMs)
    return !this.#connecting && now - this.activity.lastAt >= waitingIdleMs
  }

  tick(now: number): void {
    if (this.open === undefined || this.#saidUnheard || !this.activity.isUnheard(now)) return
    this.#saidUnheard = true
    this.#peers.context.log(
      'warn',
      'source-unanswered',
      'Nothing has come back through the tunnel yet: does the service behind the server (its `remote`) run, and does it know this peer (WireGuard: keys)? If it never answers, all is well.',
      this.fields,
    )
  }

  end(why: 'idle' | 'evicted'): void {
    const { context, forget } = this.#peers
    if (this.open !== undefined) {
      context.log(why === 'idle' ? 'info' : 'debug', `connection-${why}`, `${why} connection closed`, this.fields)
      this.open.flow.close('timeout')
      return
    }
    // Without held datagrams a timer of `#wait` that still runs does not connect.
    context.count('heldExpired', this.#held.take().length)
    forget(this)
  }

  /** Makes answers leave from the address in the four words of `records` from `at` on. */
  #answerFrom(records: Int32Array, at: number): void {
    const { local } = this
    const same = (i: number) => records[at + i] === local[i]
    if (!(same(0) && same(3) && same(2) && same(1))) local.set(records.subarray(at, at + 4))
  }

  /** Schedules the next attempt to connect. */
  #wait(): void {
    const { context } = this.#peers
    const pause = this.#pause.take()
    this.#connectAt = context.now() + pause
    context.after(pause, () => this.connect())
  }

  /** Holds the datagrams of a message, and counts those that find no room. */
  #hold(record: number): void {
    const { context, intake } = this.#peers
    const { records, bytes } = intake
    if (!intake.fits(record, Number.POSITIVE_INFINITY)) return
    const now = context.now()
    const size = intake.segmentSize(record)
    const end = records[record + Message.at] + records[record + Message.length]
    for (let at = records[record + Message.at]; at < end; at += size) {
      const datagram = bytes.slice(at, Math.min(at + size, end))
      if (this.#held.add(datagram, now)) continue
      context.count('heldExpired', this.#held.expire(now))
      if (!this.#held.add(datagram, now)) context.count('heldFull')
    }
  }
}

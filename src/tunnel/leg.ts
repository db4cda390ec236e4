import { Errno, errnoName } from '../native.js'
import { noSocket, type Route, unaddressed } from '../udp/route.js'
import { type UdpAddress, UdpError, type UdpSocket } from '../udp/socket.js'
import type { ServiceFlow } from '../workers/service.js'
import { Activity } from './activity.js'
import { flowName } from './flow-name.js'
import type { LimitedFlow } from './flow-set.js'
import type { Intake, Taker } from './intake.js'
import { isLoopback, LegSocket, type LegSockets, type OwnAddresses } from './leg-socket.js'
import type { ServiceOptions } from './options.js'
import { Pause } from './pause.js'
import type { Target } from './target.js'

/** What the legs of one worker share. */
export interface Legs extends LegSockets {
  readonly target: Target
  readonly ownAddresses: OwnAddresses
  readonly options: ServiceOptions
}

/** Milliseconds between two renewals of a leg's socket: the first pause, the maximum. The first renewal is at once. */
const renewalPause = [500, 5_000] as const
/** A renewal that comes this many milliseconds after the last one starts with the first pause again. */
const calmMs = 10_000
/**
 * A leg looks for a reason when the service has left datagrams unanswered for `silenceMs` milliseconds, and again after
 * each of the pauses: the first pause, the maximum.
 */
const silenceMs = 5_000
const silencePause = [5_000, 60_000] as const

/** Bits of `Leg.#said`: each warning is logged once, until the service answers again. */
const Said = { 'service-refuses': 1, 'service-unreachable': 2, 'service-unanswered': 4 } as const

/**
 * One accepted connection and its UDP socket towards the service. Each connection has its own socket, so that the
 * service sees one source port per connection. A failing UDP path never closes the connection:
 *
 * | failure | how the leg notices | what it does |
 * |---|---|---|
 * | nobody listens | ICMP error, returned by the next system call | connects to the name's next address, if there is one; else goes on sending to this one |
 * | kernel refuses to send: no route, source address is gone | sending fails twice | connects again, at once and then with growing pauses; the source port stays |
 * | service does not answer | silence | connects again if the source address is gone, else has the name looked up; nothing more, since some services never answer |
 */
export class Leg implements Route, Intake, Taker, LimitedFlow {
  readonly flow: ServiceFlow
  readonly activity: Activity
  first = -1
  last = -1
  saidOversize = false
  readonly port = 0
  readonly address = unaddressed
  readonly local = unaddressed
  readonly scope = 0
  singleFrom = Number.POSITIVE_INFINITY
  readonly #legs: Legs
  readonly #renewal = new Pause(...renewalPause)
  readonly #silence = new Pause(...silencePause)
  readonly #read = () => this.#legs.intake.take(this.socket.fd, this)
  #socket: LegSocket | undefined
  /** Address of the service that the socket is connected to, or was last; undefined before the first one. */
  #place: UdpAddress | undefined
  #connected = false
  /** No renewal before this time. */
  #renewAt = 0
  #renewedAt = Number.NEGATIVE_INFINITY
  /** When `#lookForReason` was called last, and the earliest time of its next call. */
  #lookedAt = 0
  #lookAt = 0
  /** The last `Target.version` in which `#place` was one of the name's addresses; -1: not looked yet. */
  #seen = -1
  #said = 0

  constructor(legs: Legs, flow: ServiceFlow) {
    this.#legs = legs
    this.flow = flow
    this.activity = new Activity(legs.context.now())
  }

  get socket(): UdpSocket {
    return this.#socket ?? noSocket
  }

  get fields(): Record<string, unknown> {
    return { remote: flowName(this.flow) }
  }

  /** The service's address in use, as 'address:port'. */
  get service(): string {
    const { target } = this.#legs
    return this.#place === undefined ? 'no address' : target.describe(this.#place)
  }

  /** Opens a socket and connects it, if the service has an address. Throws UdpError when no socket can be opened. */
  open(): void {
    const { current } = this.#legs.target
    if (current !== undefined) this.#connectToAny(current)
  }

  /** Whether datagrams can be sent; connects again if need be and the pause is over. */
  ready(): boolean {
    return this.#connected || this.#renew(0)
  }

  /** The service has sent a message, which belongs to this flow: the socket has no other. */
  intakeOf(record: number): this {
    const { context, intake } = this.#legs
    this.activity.in(context.now(), intake.isSeveral(record))
    if (this.#said !== 0) this.#heard()
    return this
  }

  /** A read has failed with -errno. */
  failed(result: number): void {
    this.reported(-result)
  }

  /** The kernel reports an error about an earlier datagram (ICMP). */
  reported(errno: number): void {
    // Nothing to do: the kernel has learnt the path MTU from this error.
    if (errno === Errno.EMSGSIZE || this.#place === undefined) return
    const { target } = this.#legs
    const next = target.refused(this.#place)
    if (next !== undefined) this.#move(next, errnoName(-errno))
    else
      this.#say(
        'service-refuses',
        `Nobody listens at ${this.service} (${errnoName(-errno)}): is the UDP service running?`,
      )
  }

  /** The kernel refused to send, twice. Whether the leg has connected again. */
  refused(errno: number): boolean {
    return errno !== Errno.EMSGSIZE && this.#renew(errno)
  }

  isIdle(now: number): boolean {
    return this.activity.isIdle(now, this.#legs.options.idleMs)
  }

  /** Called about once a second: connects again if need be, and looks at how long the service has been silent. */
  tick(now: number): void {
    if (!this.#connected) {
      this.#renew(0)
      return
    }
    const { waitingSince, outAt } = this.activity
    if (waitingSince === 0) {
      this.#silence.reset()
      this.#lookAt = 0
      return
    }
    if (now - waitingSince < silenceMs) return
    this.named()
    if (now < this.#lookAt || outAt < this.#lookedAt) return
    this.#lookedAt = now
    this.#lookAt = now + this.#silence.take()
    this.#lookForReason()
    if (this.activity.isUnheard(now)) {
      const about = 'does it run, does it know this peer (WireGuard: keys), does a firewall drop its answers?'
      this.#say(
        'service-unanswered',
        `${this.service} has never answered: ${about} If it is one that never does, all is well.`,
      )
    }
  }

  /** The name's addresses may have changed. A leg whose service answers stays where it is. */
  named(): void {
    const { target, context } = this.#legs
    const { current, version } = target
    if (this.#place === undefined) {
      this.#renew(0)
      return
    }
    if (this.#seen === version || current === undefined) return
    if (target.has(this.#place)) {
      this.#seen = version
      return
    }
    const { waitingSince } = this.activity
    const silent = waitingSince !== 0 && context.now() - waitingSince >= silenceMs
    const troubled = (this.#said & (Said['service-refuses'] | Said['service-unreachable'])) !== 0
    if (silent || troubled) this.#move(current, 'the name moved')
  }

  end(why: 'idle' | 'evicted'): void {
    this.#legs.context.log(
      why === 'idle' ? 'info' : 'debug',
      `connection-${why}`,
      `${why} connection closed`,
      this.fields,
    )
    this.flow.close('timeout')
  }

  close(): void {
    this.#connected = false
    this.#socket?.close()
    this.#socket = undefined
  }

  /** The service answers after a warning about it. */
  #heard(): void {
    this.#said = 0
    this.#legs.target.answered(this.#place!)
    this.#legs.context.log('info', 'service-answers', `${this.service} answers.`, this.fields)
  }

  #lookForReason(): void {
    const { target, ownAddresses } = this.#legs
    const place = this.#place!
    const gone = !isLoopback(place) && !ownAddresses.has(this.#socket!.ownAddress(), place.zone)
    // The kernel reports no error: it goes on sending from an IPv6 address that the machine has lost.
    if (gone) this.#renew(Errno.EADDRNOTAVAIL)
    else target.doubt()
  }

  /**
   * Connects again, unless `#renewAt` is still to come. Whether it is connected. `errno`: why sending failed; 0: the
   * leg was not connected.
   */
  #renew(errno: number): boolean {
    const { target, context } = this.#legs
    const now = context.now()
    const calm = now - this.#renewedAt > calmMs
    const place = this.#place !== undefined && target.has(this.#place) ? this.#place : target.current
    // The first refusal is not logged: this machine's address has changed, which happens and which a renewal mends.
    if (errno !== 0 && !calm) this.#sayUnreachable(` (${errnoName(-errno)})`)
    if (now < this.#renewAt || place === undefined) return false
    if (calm) this.#renewal.reset()
    this.#renewedAt = now
    this.#renewAt = now + this.#renewal.take()
    // Connecting worked, but sending still does not (EPERM): tries another address of the service.
    const better = errno !== 0 && !calm && this.#connected ? target.refused(place) : undefined
    if (this.#tryConnect(better ?? place)) return true
    this.#sayUnreachable('')
    target.doubt()
    return false
  }

  #sayUnreachable(reason: string): void {
    this.#say(
      'service-unreachable',
      `${this.service} cannot be reached${reason}: the connection stays, and the way is tried again.`,
    )
  }

  /** Connects to another address of the service. */
  #move(to: UdpAddress, reason: string): void {
    const from = this.service
    this.#tryConnect(to)
    this.#legs.context.log('debug', 'leg-moved', 'UDP leg moved', { ...this.fields, from, to: this.service, reason })
  }

  /** As `#connectToAny`, but logs a missing socket instead of throwing. */
  #tryConnect(to: UdpAddress): boolean {
    try {
      return this.#connectToAny(to)
    } catch (error) {
      if (!(error instanceof UdpError)) throw error
      this.#say('service-unreachable', error.message)
      return false
    }
  }

  /**
   * Connects to the first of the name's addresses, from this one on, that the kernel accepts. On a machine without IPv6
   * it refuses every IPv6 address. Throws UdpError when no socket can be opened.
   */
  #connectToAny(first: UdpAddress): boolean {
    for (let to: UdpAddress | undefined = first; to !== undefined; to = this.#legs.target.refused(to)) {
      if (this.#connect(to)) return true
    }
    return false
  }

  /**
   * Connects to one address; opens another socket if this one does not fit. Throws UdpError when none can be opened.
   */
  #connect(to: UdpAddress): boolean {
    this.#place = to
    this.#seen = -1
    if (this.#socket?.fits(to) !== true) {
      this.close()
      try {
        this.#socket = new LegSocket(this.#legs, to)
      } catch (error) {
        if (error instanceof UdpError && error.errno === Errno.EAFNOSUPPORT) return false
        throw error
      }
    }
    const { target, context } = this.#legs
    this.#connected = this.#socket!.connect(to, target.port, this.#read) === 0
    this.singleFrom = Number.POSITIVE_INFINITY
    this.activity.restartWaiting(context.now())
    return this.#connected
  }

  /** Logs a warning, unless it was logged since the service last answered. */
  #say(event: keyof typeof Said, text: string): void {
    if ((this.#said & Said[event]) !== 0) return
    this.#said |= Said[event]
    this.#legs.context.log('warn', event, text, this.fields)
  }
}

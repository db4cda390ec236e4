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

/** Milliseconds until a refused way is tried again, at first and at most; the first time it is at once. */
const renewalPause = [500, 5_000] as const
/** Without refusals for so long, the pauses are short again. */
const calmMs = 10_000
/**
 * A service that is asked and stays silent for so many milliseconds makes a leg look for a reason, then again after
 * these pauses.
 */
const silenceMs = 5_000
const silencePause = [5_000, 60_000] as const

/** What is said once, until the service is heard again. */
const Said = { 'service-refuses': 1, 'service-unreachable': 2, 'service-unanswered': 4 } as const

/**
 * One accepted connection on its way to the UDP service: a socket of its own, so that the service sees one source port
 * per connection. Whatever befalls the way, the connection stays:
 *
 * | what | sign | then |
 * |---|---|---|
 * | nobody listens | ICMP, reported with the next call | the name's next address at once, or the same one again |
 * | the way is refused: no route, our address is gone | the call fails, twice | connects anew, at once and then with growing pauses; the port stays |
 * | answers stay away | nothing | looks whether our address is gone or the name has moved; else nothing, for it may be the service's manner |
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
  /** Address of the service in use; undefined while there is none. */
  #place: UdpAddress | undefined
  #connected = false
  /** Not before that time. */
  #renewAt = 0
  #renewedAt = Number.NEGATIVE_INFINITY
  /** When it looked for a reason of the silence, and when it may again. */
  #lookedAt = 0
  #lookAt = 0
  /** State of the name in which `#place` was one of its addresses. */
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

  /** The service's address in use. */
  get service(): string {
    const { target } = this.#legs
    return this.#place === undefined ? 'no address' : target.describe(this.#place)
  }

  /**
   * Takes a socket and connects it, if the service has an address. Throws UdpError when there is no socket to be had.
   */
  open(): void {
    const { current } = this.#legs.target
    if (current !== undefined) this.#connectToAny(current)
  }

  /** Whether datagrams may be sent now. */
  ready(): boolean {
    return this.#connected || this.#renew(0)
  }

  /** A message of the service's. */
  intakeOf(record: number): this {
    const { context, intake } = this.#legs
    this.activity.in(context.now(), intake.isSeveral(record))
    if (this.#said !== 0) this.#heard()
    return this
  }

  failed(result: number): void {
    this.reported(-result)
  }

  /** What became of an earlier datagram. */
  reported(errno: number): void {
    // The kernel has noted the path MTU that this is about.
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

  /** The way is refused; whether there is a new one. */
  refused(errno: number): boolean {
    return errno !== Errno.EMSGSIZE && this.#renew(errno)
  }

  isIdle(now: number): boolean {
    return this.activity.isIdle(now, this.#legs.options.idleMs)
  }

  /** About once a second. */
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

  /** The name may stand for other addresses. A leg that is heard is not disturbed. */
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

  #heard(): void {
    this.#said = 0
    this.#legs.target.answered(this.#place!)
    this.#legs.context.log('info', 'service-answers', `${this.service} answers.`, this.fields)
  }

  #lookForReason(): void {
    const { target, ownAddresses } = this.#legs
    const place = this.#place!
    const gone = !isLoopback(place) && !ownAddresses.has(this.#socket!.ownAddress(), place.zone)
    // The kernel goes on sending from an IPv6 address that the machine has lost.
    if (gone) this.#renew(Errno.EADDRNOTAVAIL)
    else target.doubt()
  }

  /** Connects anew, if it is time for it. `errno` 0: only because it is not connected. */
  #renew(errno: number): boolean {
    const { target, context } = this.#legs
    const now = context.now()
    const calm = now - this.#renewedAt > calmMs
    const place = this.#place !== undefined && target.has(this.#place) ? this.#place : target.current
    // The first time is no news: it mends what is usual, an address that has changed.
    if (errno !== 0 && !calm) this.#sayUnreachable(` (${errnoName(-errno)})`)
    if (now < this.#renewAt || place === undefined) return false
    if (calm) this.#renewal.reset()
    this.#renewedAt = now
    this.#renewAt = now + this.#renewal.take()
    // Connecting works, but sending does not (EPERM): another address may be better.
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

  #move(to: UdpAddress, reason: string): void {
    const from = this.service
    this.#tryConnect(to)
    this.#legs.context.log('debug', 'leg-moved', 'UDP leg moved', { ...this.fields, from, to: this.service, reason })
  }

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
   * Connects to the first address that lets us, from this one on: without IPv6 that is none of the IPv6 ones. Throws
   * UdpError without a socket.
   */
  #connectToAny(first: UdpAddress): boolean {
    for (let to: UdpAddress | undefined = first; to !== undefined; to = this.#legs.target.refused(to)) {
      if (this.#connect(to)) return true
    }
    return false
  }

  /** Throws UdpError without a socket. */
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

  #say(event: keyof typeof Said, text: string): void {
    if ((this.#said & Said[event]) !== 0) return
    this.#said |= Said[event]
    this.#legs.context.log('warn', event, text, this.fields)
  }
}

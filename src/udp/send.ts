import type { Batch } from '../memory/batch.js'
import { Errno, type Memory, native } from '../native.js'
import { MessageVector } from './message-vector.js'
import { full, neverCut, uncut } from './refusals.js'
import type { Route } from './route.js'
import type { UdpSocket } from './socket.js'

/** Maximum of datagrams that the kernel cuts from one message (UDP_MAX_SEGMENTS, before Linux 6.9). */
const maxSegments = 64
/** Largest UDP payload over IPv4. */
const maxMessage = 65_507

export interface UdpSenderOptions {
  /** Whether the kernel can cut messages (`UdpFeatures`). */
  readonly segment: boolean
  /** Called with the number of datagrams that could not be sent. */
  lost(datagrams: number): void
  /** For tests: the system call. */
  readonly send?: typeof native.udpSend
}

/**
 * Sends equal datagrams from where they lie, without copying them. Whole super-packets leave as one message each
 * (UDP_SEGMENT), and several messages per system call. If the kernel cannot cut a message, its datagrams leave as
 * messages of their own, still many per call.
 */
export class UdpSender {
  readonly #segment: boolean
  readonly #lost: (datagrams: number) => void
  readonly #udpSend: typeof native.udpSend
  readonly #messages = new MessageVector()
  /** The datagrams of one message that could not be cut. */
  readonly #singles = new MessageVector()
  #memory: Memory = 0
  #socket: UdpSocket | undefined

  constructor({ segment, lost, send = native.udpSend }: UdpSenderOptions) {
    this.#segment = segment
    this.#lost = lost
    this.#udpSend = send
  }

  /**
   * Gathers a batch's datagrams. They leave with `flush`, or earlier when the next batch has another socket or memory,
   * or when there is no room for more.
   */
  add(route: Route, { memory, vec, pieces, segmentSize }: Batch): void {
    if (this.#messages.count > 0 && (route.socket !== this.#socket || memory !== this.#memory)) this.flush()
    this.#socket = route.socket
    this.#memory = memory
    const cut = this.#segment && segmentSize < route.singleFrom
    const segments = cut ? Math.min(maxSegments, Math.max(1, Math.floor(maxMessage / segmentSize))) : 1
    const maxBytes = segments * segmentSize
    let room = 0
    for (let i = 0; i < pieces; i++) {
      let at = vec[i * 2]
      let left = vec[i * 2 + 1]
      while (left > 0) {
        if (this.#messages.full) {
          this.flush()
          room = 0
        }
        if (room === 0) {
          this.#messages.begin(route, segmentSize)
          room = maxBytes
        }
        const length = Math.min(left, room)
        this.#messages.piece(at, length)
        at += length
        left -= length
        room -= length
      }
    }
  }

  flush(): void {
    if (this.#messages.count === 0) return
    this.#send(this.#messages)
    this.#messages.clear()
  }

  /** Sends the messages. Answers how often the kernel refused one. */
  #send(messages: MessageVector): number {
    let next = 0
    let refusals = 0
    /** Failed tries of the next message, and the error of the last one. */
    let tries = 0
    let errno = 0
    while (next < messages.count) {
      const { socket } = messages.route(next)
      const left = messages.count - next
      const sent = this.#udpSend(socket.fd, socket.family, this.#memory, messages.arena, messages.at(next), left)
      if (sent > 0) {
        if (tries === 1 && errno !== Errno.ECONNREFUSED) messages.route(next).reported(errno)
        next += sent
        tries = 0
        continue
      }
      errno = -sent
      refusals++
      if (this.#again(messages, next, errno, tries)) {
        tries++
        continue
      }
      next++
      tries = 0
    }
    return refusals
  }

  /** Deals with a refused message. True: try it again. False: its datagrams were sent one by one, or are lost. */
  #again(messages: MessageVector, message: number, errno: number, tries: number): boolean {
    if (!full.has(errno)) {
      const route = messages.route(message)
      if (tries === 0) {
        // The error may report the fate of an earlier datagram. Then nothing was sent, and nothing is wrong with this
        // message.
        if (errno === Errno.ECONNREFUSED) route.reported(errno)
        return true
      }
      if (messages.datagrams(message) > 1) {
        this.#sendSingly(messages, message, errno)
        return false
      }
      if (tries === 1 && route.refused(errno)) {
        messages.readdress(message)
        return true
      }
    }
    this.#lost(messages.datagrams(message))
    return false
  }

  #sendSingly(messages: MessageVector, message: number, errno: number): void {
    const route = messages.route(message)
    const size = messages.segmentSize(message)
    const singles = this.#singles
    singles.clear()
    messages.eachPiece(message, (from, length) => {
      for (let at = from; at < from + length; at += size) {
        singles.begin(route, size)
        singles.piece(at, Math.min(size, from + length - at))
      }
    })
    // If the kernel refuses single datagrams too, the cutting was not the reason.
    if (this.#send(singles) > 0 || !uncut.has(errno)) return
    route.singleFrom = neverCut.has(errno) ? 0 : Math.min(route.singleFrom, size)
  }
}

import type { EventLog } from '../log/events.js'
import { checkWatch, Errno, errnoName, native, type Poller, Ready } from '../native.js'
import { changeGroups, type Netlink } from './netlink.js'
import type { AddressPair } from './pair.js'

/**
 * Milliseconds between the first change and the look at the interface. Changes come in bursts, and the kernel adds the
 * route of an IPv6 address a moment after the address: one look comes after all of them.
 */
const pauseMs = 100
/** Maximum of this pause. It grows while another program keeps undoing the repairs. */
const maxPauseMs = 5_000
/** After so many milliseconds without a repair the pause is `pauseMs` again. */
const calmMs = 10_000

export type WatchLog = Pick<EventLog, 'warn' | 'error'>

export interface WatchedInterface {
  readonly index: number
  readonly name: string
  readonly pairs: readonly AddressPair[]
}

/**
 * Keeps a TUN interface up, and keeps its addresses and the routes to its peers. It puts back what a network manager, a
 * flush, or a link that went down has removed. rtnetlink reports the changes, so the interface is polled only while a
 * repair fails.
 */
export class InterfaceWatch {
  readonly #watched: WatchedInterface
  readonly #log: WatchLog | undefined
  readonly #changed: () => void
  readonly #netlink: Netlink
  readonly #changes: number
  readonly #poller: Poller
  readonly #events: number
  readonly #buffer = new Uint8Array(16_384)
  /** The repairs that fail, as sentences. Each is logged once, until the repair succeeds. */
  readonly #complaints = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #pauseMs = pauseMs
  #repairedAt = Number.NEGATIVE_INFINITY

  /** `changed` is called after interfaces, addresses or routes of the machine have changed. */
  constructor(netlink: Netlink, watched: WatchedInterface, log: WatchLog | undefined, changed: () => void) {
    this.#netlink = netlink
    this.#watched = watched
    this.#log = log
    this.#changed = changed
    this.#changes = native.netlinkOpen(changeGroups)
    const events = new Int32Array(2)
    this.#events = native.arenaOpen(new Uint8Array(events.buffer))
    this.#poller = new native.Poller(this.#events, 1, () => this.#heard())
    this.#poller.unref()
    if (this.#changes >= 0) checkWatch(this.#poller.add(this.#changes, 0, Ready.read))
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#poller.close()
    native.arenaClose(this.#events)
    if (this.#changes >= 0) native.close(this.#changes)
  }

  #heard(): void {
    // ENOBUFS comes once after the socket's buffer was full. Messages were lost then, but something has changed.
    for (;;) {
      const length = native.read(this.#changes, this.#buffer, 0, this.#buffer.length)
      if (length <= 0 && length !== -Errno.ENOBUFS) break
    }
    this.#timer ??= setTimeout(() => this.#look(), this.#pauseMs).unref()
  }

  #look(): void {
    this.#timer = undefined
    this.#changed()
    const { index, name } = this.#watched
    const link = this.#netlink.link(index)
    // The interface is gone. The workers learn that when they read its queues.
    if (link === undefined) return
    const repaired: string[] = []
    if (!link.up) this.#repair('the link', native.linkUp(link.name, 0, 0), repaired)
    const addresses = this.#netlink.addresses()
    for (const pair of this.#watched.pairs) this.#lookAt(pair, addresses, repaired)
    if (repaired.length > 0) {
      this.#log?.warn(
        { event: 'interface-repaired', interface: name, repaired },
        `${name} had lost ${repaired.join(', ')}: put back`,
      )
    }
    this.#pace(repaired.length > 0)
    // A repair that failed may succeed later, and no message will tell. So look again.
    if (this.#complaints.size > 0) this.#timer = setTimeout(() => this.#look(), maxPauseMs).unref()
  }

  #lookAt({ host, stack }: AddressPair, addresses: ReturnType<Netlink['addresses']>, repaired: string[]): void {
    const { index, name } = this.#watched
    const isHost = ({ local }: { local: Uint8Array }) => Buffer.compare(local, host.bytes) === 0
    if (!addresses.some(address => address.index === index && isHost(address))) {
      // The kernel adds the route together with the address.
      this.#repair(`the address ${host.text}`, this.#netlink.addAddress(index, host.bytes, stack.bytes), repaired)
      return
    }
    const route = this.#netlink.route(stack.bytes)
    const complaint = `packets to ${stack.text} do not reach ${name}`
    if (route?.index === index) {
      this.#complaints.delete(complaint)
      return
    }
    const result = this.#netlink.addPeerRoute(index, host.bytes, stack.bytes)
    const now = this.#netlink.route(stack.bytes)
    if (now?.index === index) {
      repaired.push(`the route to ${stack.text}`)
      this.#complaints.delete(complaint)
      return
    }
    const taker = now === undefined ? undefined : this.#netlink.link(now.index)?.name
    this.#complain(
      complaint,
      taker === undefined ? `the route cannot be put back (${errnoName(result)})` : `${taker} has taken them over`,
    )
  }

  #repair(what: string, result: number, repaired: string[]): void {
    const complaint = `${what} of ${this.#watched.name} was taken away`
    if (result >= 0 || result === -Errno.EEXIST) {
      repaired.push(what)
      this.#complaints.delete(complaint)
      return
    }
    const cause =
      result === -Errno.EPERM
        ? 'and putting it back needs the CAP_NET_ADMIN capability'
        : `and cannot be put back (${errnoName(result)})`
    this.#complain(complaint, cause)
  }

  #complain(complaint: string, cause: string): void {
    if (this.#complaints.has(complaint)) return
    this.#complaints.add(complaint)
    this.#log?.error({ event: 'interface-damaged', interface: this.#watched.name }, `${complaint}: ${cause}`)
  }

  /** Sets the pause before the next look. A fight with a network manager must not take much processor time. */
  #pace(repaired: boolean): void {
    const now = native.clock()
    if (repaired) {
      const contested = now - this.#repairedAt < calmMs
      this.#pauseMs = contested ? Math.min(this.#pauseMs * 2, maxPauseMs) : pauseMs
      this.#repairedAt = now
    } else if (now - this.#repairedAt > calmMs) {
      this.#pauseMs = pauseMs
    }
  }
}

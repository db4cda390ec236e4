import { readFileSync } from 'node:fs'
import type { StackOptions } from '../engine/options.js'
import type { Stack } from '../engine/stack.js'
import { fromBytes } from '../net/address.js'
import { HandshakeSniffer, type Sniffed } from '../net/handshake-sniffer.js'
import { Netlink, RouteType } from '../net/netlink.js'

/** Milliseconds between two calls of `Diagnosis.look`. */
const lookMs = 1_000
/** A client logs a cause when the server has answered no SYN for this many milliseconds. */
const unansweredMs = 5_000
/** A SYN that does not reach the stack within this many milliseconds after it reached the machine never will. */
const arrivalMs = 3_000
/**
 * A server sniffs the machine's interfaces for this many milliseconds after its start, or until a client reaches it.
 */
const sniffMs = 60_000

type Log = NonNullable<StackOptions['logger']>

/**
 * Watches a stack on a TUN interface. When no connection comes about, it logs the cause in one sentence, once. Stops by
 * itself when the stack closes.
 */
class Diagnosis {
  protected readonly stack: Stack
  protected readonly log: Log
  protected readonly port: number
  protected readonly startedAt = performance.now()
  protected sniffer: HandshakeSniffer | undefined
  /** The last 100 handshake packets that passed interfaces other than the stack's. */
  protected readonly seen: Sniffed[] = []
  readonly #timer: NodeJS.Timeout

  constructor(stack: Stack, log: Log, port: number) {
    this.stack = stack
    this.log = log
    this.port = port
    this.#timer = setInterval(() => this.look(), lookMs).unref()
    void stack.closed.then(() => this.stop())
  }

  /** Called every `lookMs`; subclasses override it. */
  protected look(): void {}

  stop(): void {
    clearInterval(this.#timer)
    this.forget()
  }

  /** Starts sniffing, where the process has the privilege. */
  protected listen(): void {
    this.sniffer ??= HandshakeSniffer.open(this.port)
  }

  /** Adds to `seen` what was sniffed since the last call. */
  protected hear(): void {
    const own = withNetlink(netlink => netlink.link(this.stack.device)?.index)
    this.seen.push(...(this.sniffer?.read() ?? []).filter(({ index }) => index !== own))
    this.seen.splice(0, this.seen.length - 100)
  }

  /** Stops sniffing. */
  protected forget(): void {
    this.sniffer?.close()
    this.sniffer = undefined
    this.seen.length = 0
  }
}

/** Finds out why a client's server does not answer. */
export class ClientDiagnosis extends Diagnosis {
  #done = 0
  /** When the wait for the first answer to a SYN began; undefined: the client waits for none. */
  #since: number | undefined
  /** Whether the cause was logged, since the last connection that came about. */
  #said = false
  readonly #remotes: () => readonly Uint8Array[]

  /** `remotes`: the server's addresses that are known now, 4 or 16 bytes each. */
  constructor(stack: Stack, log: Log, port: number, remotes: () => readonly Uint8Array[]) {
    super(stack, log, port)
    this.#remotes = remotes
  }

  protected override look(): void {
    const { connectsBegun, connectsDone } = this.stack.stats().total.traffic
    if (connectsDone > this.#done || connectsBegun === connectsDone) {
      this.#done = connectsDone
      this.#since = undefined
      this.#said = false
      this.forget()
      return
    }
    if (this.#said) return
    if (this.#since === undefined) {
      this.#since = performance.now()
      this.listen()
    }
    this.hear()
    if (performance.now() - this.#since < unansweredMs) return
    this.#said = true
    this.log.warn(
      { event: 'server-unanswered', port: this.port },
      `no handshake for ${unansweredMs / 1_000} s: ${this.#cause()}`,
    )
    this.forget()
  }

  #cause(): string {
    const { device } = this.stack
    const syns = this.seen.filter(({ kind, outgoing }) => kind === 'syn' && outgoing)
    const refusal = this.seen.find(({ kind, outgoing }) => kind === 'rst' && !outgoing)
    const untranslated = syns.find(({ source }) => [this.stack.address, this.stack.address6].includes(source.text))
    if (refusal !== undefined) {
      return `${refusal.source.text} refuses; no server listens there, or its machine does not pass port ${this.port} on to it (DNAT)`
    }
    if (untranslated !== undefined) {
      const { source, index } = untranslated
      return `packets leave by ${nameOf(index)} with the source ${source.text}, which nobody can answer; a rule that masquerades them is missing`
    }
    if (syns.length > 0) {
      const { source, destination, index } = syns[syns.length - 1]
      return `packets leave by ${nameOf(index)} as ${source.text}, and ${destination.text} does not answer; the server is not there, or a firewall on the way drops them`
    }
    const remotes = this.#remotes()
    const family = remotes.length > 0 && remotes.every(({ length }) => length === 16) ? 6 : 4
    if (!forwards(device, family)) return forwardingOff(device, family)
    const noWay = remotes.map(wayMissing).find(cause => cause !== undefined)
    if (noWay !== undefined) return noWay
    if (this.sniffer === undefined) {
      return `the server does not answer, or this machine does not forward and masquerade what comes from ${device}`
    }
    return `packets from ${device} do not leave this machine; a rule of its firewall drops them`
  }
}

/** Finds out why SYNs for a server's port reach the machine, but not the server. */
export class ServerDiagnosis extends Diagnosis {
  /** When the first SYN for the port was seen. */
  #firstAt: number | undefined

  constructor(stack: Stack, log: Log, port: number) {
    super(stack, log, port)
    this.listen()
  }

  protected override look(): void {
    const { traffic, drops } = this.stack.stats().total
    const came = traffic.synCookiesOut + drops.synBadSeq + drops.synSourceLimited + drops.synFlood
    if (came > 0 || this.sniffer === undefined || performance.now() - this.startedAt > sniffMs) {
      this.stop()
      return
    }
    this.hear()
    const syn = this.seen.find(({ kind, outgoing }) => kind === 'syn' && !outgoing)
    if (syn === undefined) return
    this.#firstAt ??= performance.now()
    if (performance.now() - this.#firstAt < arrivalMs) return
    const { source, destination, index } = syn
    const { port } = this
    this.log.warn(
      { event: 'nothing-arrives', port, source: source.text, destination: destination.text, interface: nameOf(index) },
      `port ${port} of ${destination.text} is asked for, but nothing reaches ${this.stack.device}: ${this.#cause(syn)}`,
    )
    this.stop()
  }

  #cause({ index, destination }: Sniffed): string {
    const stack = destination.family === 4 ? this.stack.address : this.stack.address6
    if (stack === undefined) return `this server has no IPv${destination.family} address`
    const passOn = `pass it on to ${stack} (DNAT)`
    if (this.seen.some(({ kind, outgoing }) => kind === 'rst' && outgoing)) {
      return `this machine refuses it by itself; a rule is missing to ${passOn}`
    }
    const name = nameOf(index)
    if (!forwards(name, destination.family)) return forwardingOff(name, destination.family)
    return `a rule is missing to ${passOn}, or another rule drops what is forwarded`
  }
}

const withNetlink = <T>(ask: (netlink: Netlink) => T): T => {
  const netlink = new Netlink()
  try {
    return ask(netlink)
  } finally {
    netlink.close()
  }
}

const nameOf = (index: number): string => withNetlink(netlink => netlink.link(index)?.name) ?? `interface ${index}`

const nowhere: readonly number[] = [RouteType.blackhole, RouteType.unreachable, RouteType.prohibit]

/** Why this machine cannot send packets towards `remote`: no route, or no answer from the next hop; else undefined. */
const wayMissing = (remote: Uint8Array): string | undefined =>
  withNetlink(netlink => {
    const route = netlink.route(remote)
    const { text } = fromBytes(remote)
    if (route === undefined || nowhere.includes(route.type))
      return `this machine has no route to ${text}; its network is not there, or a route is missing`
    if (route.type !== RouteType.unicast || !netlink.isUnanswered(route.index, route.hop)) return undefined
    const name = netlink.link(route.index)?.name
    if (!route.gateway) return `nobody on ${name} answers for ${text}; the server's machine is not there`
    return `nobody on ${name} answers for ${fromBytes(route.hop).text}, the router towards ${text}; it is not there, or the route is wrong`
  })

/**
 * Whether the kernel forwards packets that come in on this interface; true when that cannot be read. For IPv6 one
 * setting holds for all interfaces (ip6_forward).
 */
const forwards = (name: string, family: 4 | 6): boolean => {
  const setting = family === 4 ? `ipv4/conf/${name}` : 'ipv6/conf/all'
  try {
    return readFileSync(`/proc/sys/net/${setting}/forwarding`, 'latin1').trim() !== '0'
  } catch {
    return true
  }
}

const forwardingOff = (name: string, family: 4 | 6): string => {
  const setting = family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding'
  return `this machine does not forward what comes from ${name}; switch it on (sysctl -w ${setting}=1)`
}

import { ErrorCode, FakeTcpError } from '../errors.js'
import type { EventLog } from '../log/events.js'
import { Errno, errnoName } from '../native.js'
import { fromBytes } from '../net/address.js'
import type { Netlink } from '../net/netlink.js'
import { type AddressPair, anyConflictOf, type Conflict, conflictOf } from '../net/pair.js'
import type { ResolvedTun } from './tun-options.js'

/** Number of pairs that are tried: for 192.168.200.1 the third byte is 200, 202 … 254. */
const candidates = 28

/** Errors with which a kernel without IPv6, or with IPv6 switched off, refuses an IPv6 address. */
const noIPv6: readonly number[] = [Errno.EACCES, Errno.EOPNOTSUPP, Errno.EAFNOSUPPORT]

export type AddressLog = Pick<EventLog, 'warn'>

/** Chooses the addresses of a TUN interface and assigns them. Checks first whether they are in use on this machine. */
export class TunAddresses {
  readonly #netlink: Netlink
  readonly #options: ResolvedTun
  readonly #log: AddressLog | undefined

  constructor(netlink: Netlink, options: ResolvedTun, log: AddressLog | undefined) {
    this.#netlink = netlink
    this.#options = options
    this.#log = log
  }

  /**
   * Answers the pair itself or, where the options allow it, the first free one like it. Changes nothing. Throws
   * ADDRESS_TAKEN.
   */
  choose(wanted: AddressPair): AddressPair {
    if (!this.#mayReplace(wanted)) {
      const conflict = conflictOf(this.#netlink, wanted)
      if (conflict !== undefined) throw taken(wanted, conflict)
      return wanted
    }
    const first = anyConflictOf(this.#netlink, wanted)
    if (first === undefined) return wanted
    for (let nth = 1; nth < candidates; nth++) {
      const other = nextLike(wanted, nth)
      if (anyConflictOf(this.#netlink, other) !== undefined) continue
      this.#log?.warn(
        { event: 'addresses-replaced', host: other.host.text, stack: other.stack.text, because: first.text },
        `the default addresses are taken (${first.text}): ${other.host.text} and ${other.stack.text} are used instead, and firewall rules must name ${other.stack.text}`,
      )
      return other
    }
    throw taken(wanted, first)
  }

  /**
   * Assigns the pair to the interface. If another process was faster, assigns the next free pair where the options
   * allow it. Answers the pair, or undefined for IPv6 where the machine has none and the options allow that. Throws
   * ADDRESS_TAKEN, NO_IPV6, PERMISSION or DEVICE.
   */
  give(index: number, name: string, chosen: AddressPair): AddressPair | undefined {
    for (let pair = chosen; ; pair = this.choose(pair)) {
      const { host, stack } = pair
      const result = this.#netlink.addAddress(index, host.bytes, stack.bytes)
      if (host.family === 6 && noIPv6.includes(-result)) return this.#withoutIPv6(result)
      if (result < 0) throw refusedAddress(result, name, pair)
      const rival = this.#rival(index, pair)
      if (rival === undefined) return pair
      this.#netlink.removeAddress(index, host.bytes, stack.bytes)
      if (!this.#mayReplace(pair)) throw taken(pair, rival)
    }
  }

  #mayReplace({ host }: AddressPair): boolean {
    const { ifAddressesTaken, ifAddressesTaken6 } = this.#options
    return (host.family === 4 ? ifAddressesTaken : ifAddressesTaken6) === 'others'
  }

  /**
   * Another interface that has the same peer, because two processes looked for a free pair at the same moment;
   * undefined: there is none. The interface that was made first keeps the pair.
   */
  #rival(index: number, { stack }: AddressPair): Conflict | undefined {
    const other = this.#netlink
      .addresses()
      .find(({ index: theirs, peer }) => theirs < index && Buffer.compare(peer, stack.bytes) === 0)
    if (other === undefined) return undefined
    const name = this.#netlink.link(other.index)?.name ?? `interface ${other.index}`
    return { end: 'stack', text: `${stack.text} is in use on ${name}` }
  }

  #withoutIPv6(result: number): undefined {
    const reason = `IPv6 is switched off on this machine (${errnoName(result)}; sysctl net.ipv6.conf.all.disable_ipv6)`
    if (this.#options.ifNoIPv6 !== 'ipv4') {
      throw new FakeTcpError(
        ErrorCode.NO_IPV6,
        `\`tun.hostAddress6\` and \`tun.stackAddress6\` cannot be used: ${reason}. Switch it on, or leave them out.`,
      )
    }
    this.#log?.warn({ event: 'ipv6-missing', reason }, `${reason}: going on with IPv4`)
    return undefined
  }
}

const taken = ({ host }: AddressPair, { end, text }: Conflict): FakeTcpError =>
  new FakeTcpError(
    ErrorCode.ADDRESS_TAKEN,
    `\`tun.${end}Address${host.family === 4 ? '' : '6'}\` cannot be used: ${text}. Choose another pair of addresses.`,
  )

const refusedAddress = (result: number, name: string, { host, stack }: AddressPair): FakeTcpError => {
  if (result === -Errno.EPERM) {
    return new FakeTcpError(
      ErrorCode.PERMISSION,
      `Not permitted to give ${name} the address ${host.text}: the CAP_NET_ADMIN capability is missing.`,
    )
  }
  return new FakeTcpError(
    ErrorCode.DEVICE,
    `The kernel refused to give ${name} the address ${host.text} with the peer ${stack.text} (${errnoName(result)}).`,
  )
}

/**
 * The `nth` pair after this one: the third byte of IPv4 addresses and the second of IPv6 addresses grow by two each
 * time.
 */
const nextLike = ({ host, stack }: AddressPair, nth: number): AddressPair => {
  const moved = (bytes: Uint8Array) => {
    const copy = Uint8Array.from(bytes)
    const at = copy.length === 4 ? 2 : 1
    copy[at] = (copy[at] + 2 * nth) & 0xff
    return fromBytes(copy)
  }
  return { host: moved(host.bytes), stack: moved(stack.bytes) }
}

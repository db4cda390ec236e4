import { type Command, InvalidArgumentError } from 'commander'
import { defaults } from '../engine/options.js'
import { parseAddress } from '../net/address.js'
import type { TunnelOptions } from '../tunnel/tunnel.js'
import { levels } from './log.js'

/** What commander makes of the flags that client and server share. */
export interface TunnelFlags {
  remote: string
  tun: string
  tunFd?: number[]
  user?: string
  tunLocal: string
  tunPeer: string
  ipv4Only?: boolean
  tunLocal6: string
  tunPeer6: string
  handshakePacket?: string
  queues: number
  mtu: number
  offload: boolean
  coalesceUs: number
  keepalive: number
  idleTimeout: number
  maxFlows?: number
  logLevel: string
}

export const wholeNumber = (text: string): number => {
  if (!/^\d+$/u.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

/** A parser of whole numbers within bounds. */
const between =
  (least: number, most: number) =>
  (text: string): number => {
    const value = wholeNumber(text)
    if (value < least || value > most) throw new InvalidArgumentError(`It must be from ${least} to ${most}.`)
    return value
  }

const descriptors = (text: string): number[] => text.split(',').map(wholeNumber)

const week = 7 * 24 * 3_600

const address =
  (family: 4 | 6) =>
  (text: string): string => {
    try {
      return parseAddress(text, 'It', family).text
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message)
    }
  }
const ipv4 = address(4)
const ipv6 = address(6)

const logLevel = (text: string): string => {
  if (!levels.includes(text)) throw new InvalidArgumentError(`It must be one of ${levels.join(', ')}.`)
  return text
}

/** Adds phantun's flags with its defaults, then ours. `net` is the third byte of the default addresses. */
export const addTunnelOptions = (command: Command, net: '200' | '201', six: 'fcc8' | 'fcc9'): Command =>
  command
    .option('--tun <tunX>', 'name of the TUN interface; without one the kernel chooses', '')
    .option(
      '--tun-fd <N,…>',
      'descriptors of TUN queues that were opened, addressed and handed over by somebody else',
      descriptors,
    )
    .option('--tun-local <IP>', "IPv4 address of the kernel's end of the TUN interface", ipv4, `192.168.${net}.1`)
    .option('--tun-peer <IP>', "IPv4 address of fake-tcp's end: the one to NAT from or to", ipv4, `192.168.${net}.2`)
    .option('-4, --ipv4-only', 'use IPv4 only, and give the TUN interface no IPv6 address')
    .option('--tun-local6 <IP>', "IPv6 address of the kernel's end", ipv6, `${six}::1`)
    .option('--tun-peer6 <IP>', "IPv6 address of fake-tcp's end", ipv6, `${six}::2`)
    .option('--handshake-packet <PATH>', 'file whose content is the first datagram of every connection')
    .option('--queues <N>', 'TUN queues, one worker thread each', between(1, 256), defaults.queues)
    .option('--mtu <BYTES>', 'MTU of the TUN interface', wholeNumber, defaults.mtu)
    .option('--no-offload', 'one packet per system call, for kernels and containers without virtio headers')
    .option(
      '--coalesce-us <N>',
      'let packets wait up to N microseconds for company: less CPU, more latency',
      between(0, 1_000_000),
      0,
    )
    .option('--idle-timeout <SECONDS>', 'close a connection without traffic after this time', between(1, week), 180)
    .option(
      '--max-flows <N>',
      'most connections at once; default: what the machine has room for, at most 32768',
      between(1, 1_048_576),
    )
    .option(
      '--keepalive <SECONDS>',
      'ask a silent peer for a sign of life after this time, three times; 0: never',
      between(0, 86_400),
      15,
    )
    .option('--user <NAME>', 'become this user, without any privilege, once the TUN interface is there')
    .option('--log-level <LEVEL>', `one of ${levels.join(', ')}`, logLevel, 'info')

/** Default addresses give way when somebody has them, or IPv6 is switched off; those that were typed are meant. */
const givingWay = (command: Command): NonNullable<TunnelOptions['tun']> => {
  const typed = (...flags: (keyof TunnelFlags)[]) =>
    flags.some(flag => command.getOptionValueSource(flag) !== 'default')
  const typed6 = typed('tunLocal6', 'tunPeer6')
  return {
    ifAddressesTaken: typed('tunLocal', 'tunPeer') ? 'error' : 'others',
    ifAddressesTaken6: typed6 ? 'error' : 'others',
    ifNoIPv6: typed6 ? 'error' : 'ipv4',
  }
}

/** The flags of a command as the tunnel's options, less what only one side has. */
export const tunnelOptions = (flags: TunnelFlags, command: Command): TunnelOptions => ({
  remote: flags.remote,
  tun: {
    ...{ name: flags.tun, queues: flags.queues, mtu: flags.mtu, offload: flags.offload },
    ...givingWay(command),
    ...(flags.tunFd !== undefined && { descriptors: flags.tunFd }),
  },
  ...(flags.user !== undefined && { user: flags.user }),
  hostAddress: flags.tunLocal,
  stackAddress: flags.tunPeer,
  hostAddress6: flags.tunLocal6,
  stackAddress6: flags.tunPeer6,
  ipv4Only: flags.ipv4Only === true,
  ...(flags.handshakePacket !== undefined && { handshakePacket: flags.handshakePacket }),
  coalesceUs: flags.coalesceUs,
  keepalive: flags.keepalive === 0 ? null : { interval: flags.keepalive * 1_000, probes: 3 },
  idleMs: flags.idleTimeout * 1_000,
  ...(flags.maxFlows !== undefined && { maxFlows: flags.maxFlows }),
})

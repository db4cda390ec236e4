import { keepaliveNumbers } from '../engine/options.js'
import { type TunOptions, tunNumbers } from '../engine/tun-options.js'
import { workerNumbers } from '../memory/worker-options.js'
import { defaultMaxFlows } from '../tunnel/limits.js'
import {
  type ClientOptions,
  type Role,
  type ServerOptions,
  serviceNumbers,
  type TunnelOptions,
  tunAddresses,
  tunnelNumbers,
} from '../tunnel/options.js'
import { defaultLevel, type LogLevel, levels } from './levels.js'
import { address, oneOf, type Reader, text, trueOrFalse, wholeNumber, wholeNumbers } from './values.js'

/** What the flags of `client` and `server` set: options of the tunnel, and those that only the program reads. */
export interface Settings extends Omit<TunnelOptions, 'device' | 'logger'> {
  local: ClientOptions['local'] | ServerOptions['local']
  logLevel?: LogLevel
}

/** Name of an option as messages have it: 'remote', 'tun.mtu'. */
export type SettingName = Exclude<keyof Settings, 'tun'> | `tun.${keyof TunOptions}`
type ValueOf<Name extends SettingName> = Name extends `tun.${infer Inner extends keyof TunOptions}`
  ? TunOptions[Inner]
  : Name extends keyof Settings
    ? Settings[Name]
    : never

/** One flag of `fake-tcp client` and `fake-tcp server`, with everything that the program and the docs say about it. */
export interface Flag<Name extends SettingName = SettingName> {
  /** As it is typed: '-4, --ipv4-only', '--queues <N>', '--no-offload'. */
  readonly flag: string
  readonly setting: Name
  /** Converts the given text to the setting's value. */
  readonly read: Reader<ValueOf<Name>>
  /** Description for --help. */
  readonly help: string
  /** Description for the documentation, when it says more than `help`. */
  readonly docs?: string
  /** The command that has the flag; left out: both have it. */
  readonly only?: Role
  /** Whether the command refuses to start without the flag. */
  readonly required?: true
  /** Default in the flag's unit. It is only shown: the tunnel has the same default and applies it itself. */
  readonly default?: (role: Role) => string | number
  /** Default in words, when it depends on the machine. */
  readonly defaultText?: string
  /** Phrases of the library's messages about the option (key), and how a user of the flag should read them (value). */
  readonly phrases?: Readonly<Record<string, string>>
}

/** Lets the compiler check a flag against its setting. */
const flag = <Name extends SettingName>(row: Flag<Name>): Flag => row

const perSecond = 1_000

/** All flags: those of phantun, with the same meaning and the same defaults, and fake-tcp's own. */
export const flags: readonly Flag[] = [
  flag({
    flag: '-l, --local <IP:PORT>',
    setting: 'local',
    read: text,
    help: 'where UDP datagrams are taken, IPv6 as "[IPv6]:PORT"',
    only: 'client',
    required: true,
  }),
  flag({
    flag: '-l, --local <PORT>',
    setting: 'local',
    read: wholeNumber(),
    help: 'TCP port to accept connections on',
    only: 'server',
    required: true,
  }),
  flag({
    flag: '-r, --remote <HOST:PORT>',
    setting: 'remote',
    read: text,
    help: 'the server: address or host name, IPv6 as "[IPv6]:PORT"',
    only: 'client',
    required: true,
  }),
  flag({
    flag: '-r, --remote <HOST:PORT>',
    setting: 'remote',
    read: text,
    help: 'the UDP service: address or host name, IPv6 as "[IPv6]:PORT"',
    only: 'server',
    required: true,
  }),
  flag({
    flag: '--tun <tunX>',
    setting: 'tun.name',
    read: text,
    help: 'name of the TUN interface; without one the kernel chooses',
  }),
  flag({
    flag: '--tun-fd <N,…>',
    setting: 'tun.descriptors',
    read: wholeNumbers,
    help: 'descriptors of TUN queues that were opened, addressed and handed over by somebody else',
    docs: 'descriptors of TUN queues (IFF_TUN, IFF_NO_PI, better with IFF_VNET_HDR) that somebody else opened, brought up and addressed: then no privilege is needed',
  }),
  flag({
    flag: '--tun-local <IP>',
    setting: 'tun.hostAddress',
    read: address(4),
    help: "IPv4 address of the kernel's end of the TUN interface",
    default: role => tunAddresses[role].hostAddress,
  }),
  flag({
    flag: '--tun-peer <IP>',
    setting: 'tun.stackAddress',
    read: address(4),
    help: "IPv4 address of fake-tcp's end: the one to NAT from or to",
    default: role => tunAddresses[role].stackAddress,
  }),
  flag({
    flag: '-4, --ipv4-only',
    setting: 'ipv4Only',
    read: trueOrFalse,
    help: 'use IPv4 only, and give the TUN interface no IPv6 address',
  }),
  flag({
    flag: '--tun-local6 <IP>',
    setting: 'tun.hostAddress6',
    read: address(6),
    help: "IPv6 address of the kernel's end",
    default: role => tunAddresses[role].hostAddress6,
  }),
  flag({
    flag: '--tun-peer6 <IP>',
    setting: 'tun.stackAddress6',
    read: address(6),
    help: "IPv6 address of fake-tcp's end",
    default: role => tunAddresses[role].stackAddress6,
  }),
  flag({
    flag: '--handshake-packet <PATH>',
    setting: 'handshakePacket',
    read: text,
    help: 'file whose content is the first datagram of every connection',
  }),
  flag({
    flag: '--queues <N>',
    setting: 'tun.queues',
    read: wholeNumber(tunNumbers.queues),
    help: 'TUN queues, one worker thread each',
    default: () => tunNumbers.queues.default,
    defaultText: 'cores, at most 8',
  }),
  flag({
    flag: '--mtu <BYTES>',
    setting: 'tun.mtu',
    // The minimum depends on the addresses' families: the library checks it.
    read: wholeNumber(),
    help: 'MTU of the TUN interface',
    docs: 'MTU of the TUN interface; a datagram may have 40 bytes less over IPv4, 60 over IPv6',
    default: () => tunNumbers.mtu.default,
  }),
  flag({
    flag: '--no-offload',
    setting: 'tun.offload',
    read: trueOrFalse,
    help: 'one packet per system call, for kernels and containers without virtio headers',
    phrases: { '`tun.offload` is off': '--no-offload was given' },
  }),
  flag({
    flag: '--coalesce-us <N>',
    setting: 'coalesceUs',
    read: wholeNumber(workerNumbers.coalesceUs),
    help: 'let packets wait up to N microseconds for company: less CPU, more latency',
    docs: 'let packets wait up to N microseconds for company: at 50,000 datagrams per second 1000 about halves the processor time, and adds up to so much latency each way',
    default: () => workerNumbers.coalesceUs.default,
  }),
  flag({
    flag: '--idle-timeout <SECONDS>',
    setting: 'idleMs',
    read: wholeNumber({ ...serviceNumbers.idleMs, scale: perSecond }),
    help: 'close a connection without traffic after this time',
    docs: 'a connection without traffic is closed, at most a week; one that carried at most one datagram each way, like a question and its answer, after 15 s already',
    default: () => serviceNumbers.idleMs.default / perSecond,
  }),
  flag({
    flag: '--max-flows <N>',
    setting: 'maxFlows',
    read: wholeNumber(tunnelNumbers.maxFlows),
    help: 'most connections at once',
    docs: 'connections at once; see [Many connections](#many-connections)',
    defaultText: `what the machine has room for, at most ${defaultMaxFlows}`,
    phrases: {
      'a smaller `maxConnections` or `ringBytes`': 'a smaller --max-flows',
      '`maxConnections`': '--max-flows',
    },
  }),
  flag({
    flag: '--keepalive <SECONDS>',
    setting: 'keepalive',
    read: value => {
      const interval = wholeNumber({ max: 86_400 * perSecond, scale: perSecond })(value)
      return interval === 0 ? null : { interval }
    },
    help: `ask a silent peer for a sign of life after this time, ${keepaliveNumbers.probes.default} times; 0: never`,
    docs: `a silent peer is asked for a sign of life after this time, ${keepaliveNumbers.probes.default} times; without an answer its connection is closed within a minute, and the next datagram opens another one; 0: never`,
    default: () => keepaliveNumbers.interval.default / perSecond,
  }),
  flag({
    flag: '--user <NAME>',
    setting: 'user',
    read: text,
    help: 'become this user, without any privilege, once the TUN interface is there',
    docs: 'become this user once the TUN interface is there; a port below 1024 cannot be bound then, and UDP buffers are bounded by `net.core.rmem_max`',
  }),
  flag({
    flag: '--log-level <LEVEL>',
    setting: 'logLevel',
    read: oneOf(levels),
    help: `one of ${levels.join(', ')}`,
    docs: '`trace` to `silent`, see [The log](#the-log)',
    default: () => defaultLevel,
  }),
]

/** The flags of a command, in the order of its help. */
export const flagsOf = (role: Role): readonly Flag[] => flags.filter(({ only }) => only === undefined || only === role)

/** Long name of a flag: '--ipv4-only' of '-4, --ipv4-only'. */
export const longName = ({ flag }: Flag): string => /--[\w-]+/u.exec(flag)?.[0] ?? flag

/** Name of a flag without its dashes and `no-`: 'ipv4-only', 'offload'. */
export const keyOf = (row: Flag): string => longName(row).replace(/^--(?:no-)?/u, '')

/** Stores a flag's value in the settings. */
export const put = (settings: Partial<Settings>, { setting }: Flag, value: unknown): void => {
  const [outer, inner] = setting.split('.')
  const target = settings as Record<string, unknown>
  target[outer] = inner === undefined ? value : { ...(target[outer] as object), [inner]: value }
}

import { spawnSync } from 'node:child_process'
import { Child, type ChildOptions } from './child.js'
import { assertPrivate, namespaceOf } from './enter.js'
import { missingTool } from './tools.js'

/**
 * Addresses of a `Network`: two network namespaces joined by a pair of veth interfaces. A is the private namespace that
 * `enter.ts` put this process into; B is made inside of it.
 *
 *     A (this process)                                              B (held by a child)
 *     TUN 192.168.200.0/24, fcc8::/64                               TUN 192.168.201.0/24, fcc9::/64
 *     veth 10.71.0.1, fd71::1  ──────────────────────────────────  veth 10.71.0.2, fd71::2
 *
 * Both sides forward packets. Each has a route to the other side's TUN subnet; with `NetworkOptions.nat` they have no
 * such route and translate addresses instead. Nothing of it outlives the processes.
 */
export const addresses = {
  a: { veth: '10.71.0.1', veth6: 'fd71::1', tunLocal: '192.168.200.1', tunPeer: '192.168.200.2', tunPeer6: 'fcc8::2' },
  b: { veth: '10.71.0.2', veth6: 'fd71::2', tunLocal: '192.168.201.1', tunPeer: '192.168.201.2', tunPeer6: 'fcc9::2' },
} as const

/**
 * How the veth pair handles super-packets:
 *
 * | shape | veth | like |
 * |---|---|---|
 * | plain | as the kernel makes it: super-packets cross whole | two containers on one machine |
 * | wire | no TSO or GSO, with GRO: the sending end cuts super-packets, the receiving end merges them again | a network card and a cable |
 */
export const shapes = ['plain', 'wire'] as const
export type Shape = (typeof shapes)[number]

const SYSCTLS = [
  'net.ipv4.ip_forward=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv6.conf.all.forwarding=1',
  'net.ipv6.conf.all.accept_dad=0',
  'net.ipv6.conf.default.accept_dad=0',
]

const command = (argv: readonly string[]): void => {
  const [program, ...args] = argv
  const result = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 })
  if (result.error) throw result.error
  if (result.status !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr.trim() || `exit ${result.status}`}`)
}

/** One of the two network namespaces, in which programs can be started. */
export class Side {
  private readonly enter: readonly string[]

  /** `holder`: pid of a process in the namespace; undefined: the namespace of this process. */
  constructor(holder?: number) {
    this.enter = holder === undefined ? [] : ['nsenter', '-t', String(holder), '-n', '--']
  }

  /** Starts a program. The child's pid is the program's own, since `nsenter` replaces itself by it. */
  run(argv: readonly string[], options: ChildOptions): Child {
    return new Child([...this.enter, ...argv], options)
  }

  /** Runs a program to its end. Throws when it fails. */
  command(argv: readonly string[]): void {
    command([...this.enter, ...argv])
  }
}

/** Two sides that were joined by `createNetwork`. */
export interface Network {
  shape: Shape
  /** Names of the veth interfaces. */
  vethA: string
  vethB: string
  a: Side
  b: Side
  /** Deletes the veth pair and ends the process that holds B. */
  close(): Promise<void>
}

/** One sentence that says why a shape cannot be made here; undefined when it can. */
export const unavailable = (shape: Shape): string | undefined => (shape === 'wire' ? missingTool('ethtool') : undefined)

/** Starts a child that only holds a new network namespace. It ends when this process does, which closes its stdin. */
const holdNamespace = async (): Promise<Child> => {
  const holder = new Child(['unshare', '--net', 'cat'], { name: 'namespace B', seconds: 3600, stdin: true })
  const own = namespaceOf('self')
  await holder.until(() => namespaceOf(holder.pid) !== own, 'a namespace of its own')
  return holder
}

/** Number of networks made so far: their interfaces have different names. */
let networks = 0

/** Gives a side its sysctls and addresses, and with `routed` the routes to the other side's TUN subnets. */
const configure = (side: Side, veth: string, own: 'a' | 'b', routed: boolean): void => {
  const other = own === 'a' ? 'b' : 'a'
  const theirs =
    own === 'a' ? { tun: '192.168.201.0/24', tun6: 'fcc9::/64' } : { tun: '192.168.200.0/24', tun6: 'fcc8::/64' }
  // `default` does not apply to `veth`, which exists already. With duplicate address detection its link-local address
  // would be usable only after a second or two, and IPv6 packets would wait for it.
  side.command(['sysctl', '-qw', ...SYSCTLS, `net.ipv6.conf.${veth}.accept_dad=0`])
  side.command(['ip', 'link', 'set', 'lo', 'up'])
  side.command(['ip', 'address', 'add', `${addresses[own].veth}/24`, 'dev', veth])
  side.command(['ip', 'address', 'add', `${addresses[own].veth6}/64`, 'dev', veth, 'nodad'])
  side.command(['ip', 'link', 'set', veth, 'up'])
  if (!routed) return
  side.command(['ip', 'route', 'add', theirs.tun, 'via', addresses[other].veth])
  side.command(['ip', '-6', 'route', 'add', theirs.tun6, 'via', addresses[other].veth6])
}

/**
 * Translates addresses as a home router and a hosting provider do: A masquerades, B forwards the TCP port to the
 * server's address on its TUN interface. conntrack is strict: it marks packets that are out of window as INVALID, and a
 * rule drops them.
 */
const translate = (a: Side, b: Side, vethA: string, vethB: string, port: number): void => {
  const rules = (side: Side, text: string) => {
    side.command(['sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_be_liberal=0'])
    side.command(['nft', text])
  }
  // INVALID packets are not translated. Without this rule the kernel's own TCP would get them, and answer with a RST.
  const strict = 'chain strict { type filter hook prerouting priority -150; ct state invalid counter drop; }'
  rules(
    a,
    `table inet lab {
      chain out { type nat hook postrouting priority 100; oifname "${vethA}" masquerade; }
      ${strict}
    }`,
  )
  rules(
    b,
    `table inet lab {
      chain in { type nat hook prerouting priority -100;
        iifname "${vethB}" meta nfproto ipv4 tcp dport ${port} dnat ip to ${addresses.b.tunPeer};
        iifname "${vethB}" meta nfproto ipv6 tcp dport ${port} dnat ip6 to ${addresses.b.tunPeer6};
      }
      ${strict}
    }`,
  )
}

/** Options of `createNetwork`. */
export interface NetworkOptions {
  /**
   * Translate addresses instead of routing: the server in B is reached at B's veth address and this TCP port. Needs
   * nft.
   */
  readonly nat?: number
}

/** Makes namespace B and the veth pair. Only one network can exist at a time: all use the same addresses. */
export const createNetwork = async (shape: Shape, options: NetworkOptions = {}): Promise<Network> => {
  assertPrivate()
  const holder = await holdNamespace()
  const [vethA, vethB] = [`wa${networks}`, `wb${networks}`]
  networks++
  const a = new Side()
  const b = new Side(holder.pid)
  try {
    a.command(['ip', 'link', 'add', vethA, 'type', 'veth', 'peer', 'name', vethB, 'netns', String(holder.pid)])
    configure(a, vethA, 'a', options.nat === undefined)
    configure(b, vethB, 'b', options.nat === undefined)
    if (options.nat !== undefined) translate(a, b, vethA, vethB, options.nat)
    if (shape === 'wire') {
      for (const [side, veth] of [
        [a, vethA],
        [b, vethB],
      ] as const) {
        side.command(['ethtool', '-K', veth, 'tso', 'off', 'gso', 'off', 'gro', 'on'])
      }
    }
  } catch (error) {
    await holder.stop()
    throw error
  }
  const close = async (): Promise<void> => {
    // Side A is this process's namespace, so the rules would stay for the next network. A test may have deleted them.
    if (options.nat !== undefined) a.command(['sh', '-c', 'nft delete table inet lab 2>/dev/null || true'])
    // Deleted at once, and its routes with it: those of the next network are the same.
    a.command(['ip', 'link', 'delete', vethA])
    await holder.stop()
  }
  return { shape, vethA, vethB, a, b, close }
}

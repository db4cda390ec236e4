import { spawnSync } from 'node:child_process'
import { Child, type ChildOptions } from './child.js'
import { assertPrivate, namespaceOf } from './enter.js'
import { missingTool } from './tools.js'

/**
 * Two network namespaces and a wire, all inside the private namespace that `enter.ts` put this process into:
 *
 *     A (this process)                                              B (held by a child)
 *     TUN 192.168.200.0/24, fcc8::/64                               TUN 192.168.201.0/24, fcc9::/64
 *     veth 10.71.0.1, fd71::1  ──────────────────────────────────  veth 10.71.0.2, fd71::2
 *
 * Both forward, and know the way to the other's TUN; with `nat` they don't, and translate instead. Nothing has a name
 * outside, and nothing outlives the processes.
 */
export const addresses = {
  a: { veth: '10.71.0.1', veth6: 'fd71::1', tunLocal: '192.168.200.1', tunPeer: '192.168.200.2', tunPeer6: 'fcc8::2' },
  b: { veth: '10.71.0.2', veth6: 'fd71::2', tunLocal: '192.168.201.1', tunPeer: '192.168.201.2', tunPeer6: 'fcc9::2' },
} as const

/**
 * | shape | veth | like |
 * |---|---|---|
 * | plain | as the kernel makes it: super-packets cross whole | two containers on one machine |
 * | wire | no TSO or GSO, with GRO: cut before it, merged behind it | a network card and a cable |
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

/** One end. `run` starts a program in it, `command` runs one to its end and throws on failure. */
export class Side {
  private readonly enter: readonly string[]

  /** `holder`: a process whose namespace this is; undefined: our own. */
  constructor(holder?: number) {
    this.enter = holder === undefined ? [] : ['nsenter', '-t', String(holder), '-n', '--']
  }

  /** `nsenter` becomes the program, so the child's pid is the program's. */
  run(argv: readonly string[], options: ChildOptions): Child {
    return new Child([...this.enter, ...argv], options)
  }

  command(argv: readonly string[]): void {
    command([...this.enter, ...argv])
  }
}

export interface Network {
  shape: Shape
  /** Names of the wire's ends. */
  vethA: string
  vethB: string
  a: Side
  b: Side
  /** Ends the holder of B; the wire goes with it. */
  close(): Promise<void>
}

/** Why a shape can't be made here, or undefined. */
export const unavailable = (shape: Shape): string | undefined => (shape === 'wire' ? missingTool('ethtool') : undefined)

/** A child that does nothing but hold a fresh network namespace; it ends when our end of its stdin closes. */
const holdNamespace = async (): Promise<Child> => {
  const holder = new Child(['unshare', '--net', 'cat'], { name: 'namespace B', seconds: 3600, stdin: true })
  const own = namespaceOf('self')
  await holder.until(() => namespaceOf(holder.pid) !== own, 'a namespace of its own')
  return holder
}

let networks = 0

const configure = (side: Side, veth: string, own: 'a' | 'b', routed: boolean): void => {
  const other = own === 'a' ? 'b' : 'a'
  const theirs =
    own === 'a' ? { tun: '192.168.201.0/24', tun6: 'fcc9::/64' } : { tun: '192.168.200.0/24', tun6: 'fcc8::/64' }
  // Ours was made before `default` was set; without this its first IPv6 packets wait a second or two for its link-local
  // address.
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
 * As a home router and a hosting provider would: A's side masquerades, B's passes the port on to the TUN. conntrack is
 * strict: what it finds out of window is INVALID and dropped.
 */
const translate = (a: Side, b: Side, vethA: string, vethB: string, port: number): void => {
  const rules = (side: Side, text: string) => {
    side.command(['sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_be_liberal=0'])
    side.command(['nft', text])
  }
  // Before any translation: what is INVALID isn't translated, and would else end at this machine's own TCP.
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

export interface NetworkOptions {
  /** Translate addresses instead of routing: B's TUN is reached at B's veth address and this TCP port. Needs nft. */
  readonly nat?: number
}

/** Makes namespace B and the wire. One network at a time: the addresses are always the same. */
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
    // A test may have taken it away; whatever is in it would hold for the next network too.
    if (options.nat !== undefined) a.command(['sh', '-c', 'nft delete table inet lab 2>/dev/null || true'])
    // With the interface gone at once, the next network's routes can't collide with these.
    a.command(['ip', 'link', 'delete', vethA])
    await holder.stop()
  }
  return { shape, vethA, vethB, a, b, close }
}

import type { Test } from 'tap'
import { Child } from '../../src/lab/child.js'
import { namespaceOf } from '../../src/lab/enter.js'
import { Side } from '../../src/lab/network.js'

/** Names of the wire's ends. */
export const third = { near: 'tn0', far: 'tf0' } as const

/** A third machine on a wire to `side`, both without addresses. Gone with the test. */
export const createThird = async (t: Test, side: Side): Promise<Side> => {
  const holder = new Child(['unshare', '--net', 'cat'], { name: 'third namespace', seconds: 300, stdin: true })
  t.teardown(async () => {
    side.command(['ip', 'link', 'delete', third.near])
    await holder.stop()
  })
  const own = namespaceOf('self')
  await holder.until(() => namespaceOf(holder.pid) !== own, 'a namespace of its own')
  const far = new Side(holder.pid)
  const pair = ['type', 'veth', 'peer', 'name', third.far, 'netns', String(holder.pid)]
  side.command(['ip', 'link', 'add', third.near, ...pair])
  far.command(['sysctl', '-qw', `net.ipv6.conf.${third.far}.accept_dad=0`])
  side.command(['sysctl', '-qw', `net.ipv6.conf.${third.near}.accept_dad=0`])
  // An address that goes does not take the others of its network along.
  for (const end of [side, far]) end.command(['sysctl', '-qw', 'net.ipv4.conf.all.promote_secondaries=1'])
  for (const [end, name] of [
    [side, third.near],
    [far, third.far],
  ] as const) {
    end.command(['ip', 'link', 'set', name, 'up'])
  }
  return far
}

/** Gives an interface an address, or takes it away. */
export const address = (side: Side, what: 'add' | 'delete', text: string, name: string): void =>
  side.command(['ip', 'address', what, text, 'dev', name, ...(what === 'add' && text.includes(':') ? ['nodad'] : [])])

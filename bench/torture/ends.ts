/** Ends of a tunnel that die, stand still, or lose their interface. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context, Scenario, Verdict } from '../checks/scenario.js'
import { tuns } from '../ends.js'
import { percentLost, Rig, seconds } from './rig.js'

/** Datagrams that flow while something happens. */
const trickle = { rate: 200, size: 200 } as const

const within = (ms: number | undefined, patience: number): Verdict => ({
  figure: seconds(ms, patience),
  passed: ms !== undefined && ms <= patience,
})

const deadPeer = async ({ network, kind, short }: Context): Promise<Verdict> => {
  const patience = short ? 6_000 : 60_000
  const flags = short ? ['--keepalive', '1'] : []
  return Rig.with(
    network,
    kind,
    async rig => {
      await rig.load({ ...trickle, seconds: 0.5 }).ended
      // The server is alive and silent, for longer than it takes to notice that one is dead.
      await sleep(patience)
      const noticed = () => rig.said('client', 'connection-closed', /Connection closed|unrecoverable/u) > 0
      const tooEarly = noticed()
      rig.server.process.kill('SIGSTOP')
      const start = performance.now()
      while (!noticed() && performance.now() - start < patience) await sleep(50)
      const took = noticed() ? performance.now() - start : undefined
      rig.server.process.kill('SIGCONT')
      const { figure, passed } = within(took, patience)
      return {
        figure: `${tooEarly ? 'closed' : 'kept'} while alive and silent for ${patience / 1000} s; dead: ${figure}`,
        passed: passed && !tooEarly,
      }
    },
    flags,
  )
}

/**
 * Kills the server (SIGKILL) and starts a new one at once. Measures from its readiness until datagrams get through
 * again.
 */
const restart = async ({ network, kind }: Context): Promise<Verdict> =>
  Rig.with(network, kind, async rig => {
    rig.load({ ...trickle, seconds: 20 })
    await sleep(1_000)
    rig.server.process.kill('SIGKILL')
    await rig.server.ended
    await rig.start('server')
    return within(await rig.untilMore(10_000), 2_000)
  })

const standstill = async ({ network, kind, short }: Context): Promise<Verdict> =>
  Rig.with(network, kind, async rig => {
    rig.load({ ...trickle, seconds: short ? 10 : 75 })
    await sleep(1_000)
    rig.client.process.kill('SIGSTOP')
    await sleep(short ? 3_000 : 60_000)
    rig.client.process.kill('SIGCONT')
    return within(await rig.untilMore(10_000), 2_000)
  })

const interfaceDown = async ({ network, kind, short }: Context): Promise<Verdict> =>
  Rig.with(network, kind, async rig => {
    rig.load({ rate: 20_000, seconds: short ? 8 : 15, size: 1_000 })
    await sleep(1_000)
    network.b.command(['ip', 'link', 'set', tuns.b, 'down'])
    await sleep(short ? 1_000 : 5_000)
    network.b.command(['ip', 'link', 'set', tuns.b, 'up'])
    return within(await rig.untilMore(5_000), 2_000)
  })

const interfaceGone = async ({ network, kind }: Context): Promise<Verdict> =>
  Rig.with(network, kind, async rig => {
    rig.load({ rate: 20_000, seconds: 6, size: 1_000 })
    await sleep(1_000)
    const start = performance.now()
    network.b.command(['ip', 'link', 'delete', tuns.b])
    const code = await Promise.race([rig.server.ended, sleep(5_000)])
    const took = performance.now() - start
    const sentence = rig.said('server', 'device-lost', /was removed under the stack/u) === 1
    return {
      figure:
        code === undefined
          ? 'goes on without'
          : `ends after ${(took / 1000).toFixed(1)} s with ${code}${sentence ? ' and one sentence' : ''}`,
      passed: code === 1 && took < 2_000 && sentence,
    }
  })

/** Leaves so few descriptors that most of the new connections find none. */
const noDescriptors = async ({ network, kind }: Context): Promise<Verdict> =>
  Rig.with(network, kind, async rig => {
    const live = rig.load({ rate: 500, seconds: 8 })
    await sleep(1_000)
    const limit = rig.openDescriptors('server') + 20
    network.b.command(['prlimit', '--pid', String(rig.server.pid), `--nofile=${limit}`])
    await rig.load({ rate: 1_000, seconds: 2, first: 1, flows: 200 }).ended
    await sleep(1_000)
    const before = await rig.arrived()
    await live.ended
    await sleep(300)
    const alive = rig.server.running
    const after = await rig.arrived()
    const counters = kind === 'ours' ? await rig.counters('server') : {}
    const refused = counters.serviceDropped ?? 0
    return {
      figure: `${alive ? 'alive' : 'dead'}, ${before.flows} of 201 flows served${kind === 'ours' ? `, ${refused} refused and counted` : ''}, ${percentLost(after).toFixed(1)} % of what was served lost`,
      passed: alive && after.datagrams > before.datagrams && refused > 0,
    }
  })

export const ends: readonly Scenario[] = [
  {
    name: 'dead-peer',
    what: 'nothing is sent for a minute; then the server stands still too (SIGSTOP)',
    bar: 'the client keeps the connection first, and closes it within a minute then',
    phantun: true,
    run: deadPeer,
  },
  {
    name: 'restart',
    what: 'the server is killed (SIGKILL) and started again under traffic',
    bar: 'datagrams arrive ≤ 2 s after it is ready',
    phantun: true,
    run: restart,
  },
  {
    name: 'standstill',
    what: 'the client stands still for 60 s (SIGSTOP, SIGCONT) under traffic',
    bar: 'datagrams arrive ≤ 2 s afterwards',
    phantun: true,
    run: standstill,
  },
  {
    name: 'interface-down',
    what: 'the server’s TUN interface is set down for 5 s and up again under 20,000 datagrams a second',
    bar: 'datagrams arrive ≤ 2 s afterwards',
    phantun: true,
    run: interfaceDown,
  },
  {
    name: 'interface-gone',
    what: 'the server’s TUN interface is deleted under 20,000 datagrams a second',
    bar: 'it ends with code 1 and one sentence within 2 s',
    phantun: true,
    run: interfaceGone,
  },
  {
    name: 'no-descriptors',
    what: 'a server with 20 descriptors left, and 200 new UDP sources',
    bar: 'it lives, refuses and counts the rest, and serves what it has',
    phantun: true,
    run: noDescriptors,
  },
]

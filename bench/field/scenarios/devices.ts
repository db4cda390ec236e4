/** Kernels that lack IPv6, refuse super-packets, or know less of TUN than others. */

import type { Child } from '../../../src/lab/child.js'
import type { Scenario } from '../../checks/scenario.js'
import { absence } from '../../programs.js'
import type { Fault } from '../shim.js'
import { complaints, type Seen, Stage, seconds } from '../stage.js'

const noShim = (): string | undefined => absence('shim')

/**
 * Sends one datagram, then bursts of equal datagrams, which travel as super-packets wherever the kernel takes them.
 * Says what came back.
 */
const exchange = async (stage: Stage, seen: Seen, rounds = stage.short ? 3 : 10): Promise<void> => {
  const application = await stage.application()
  const first = await application.knock()
  seen.add(`first echo after ${seconds(first)}`, first !== undefined)
  let came = 0
  for (let i = 0; i < rounds; i++) came += await application.burst(20, 1_000)
  seen.add(`${came} of ${20 * rounds} in bursts came back`, came === 20 * rounds)
}

const switchOffIpv6 = (stage: Stage): void => {
  for (const side of [stage.network.a, stage.network.b]) {
    for (const where of ['all', 'default']) stage.setting(side, `net.ipv6.conf.${where}.disable_ipv6`, 1, 0)
  }
}

const ipv6: readonly Scenario[] = [
  {
    name: 'ipv6-off',
    what: 'IPv6 is switched off by `disable_ipv6`, as in containers and on many hosts',
    bar: 'both ends run over IPv4, with one warning; an address that was asked for by flag is an error that says so',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        switchOffIpv6(stage)
        const { client, server } = await stage.tunnel()
        await exchange(stage, seen)
        if (context.kind === 'phantun') return
        const said = [...complaints(client), ...complaints(server)]
        seen.add(
          `both say "${said[0]}"`,
          said.length === 2 && [client, server].every(end => end.times('ipv6-missing') === 1),
        )
        const asked = stage.launch('client', {
          tun: 'tunx',
          local: '127.0.0.1:4501',
          flags: ['--tun-peer6', 'fc99::2', '--tun-local6', 'fc99::1'],
        })
        const code = await asked.ended
        const reason = asked.stderr.trim().split('\n').at(-1) ?? ''
        seen.add(`asked for: exit ${code}, "${reason}"`, code === 1 && /IPv6 is switched off/u.test(reason))
      }),
  },
  {
    name: 'ipv6-absent',
    what: 'a kernel without IPv6 (`ipv6.disable=1`): no sockets, no addresses',
    bar: 'both ends run over IPv4, with one warning',
    phantun: true,
    absent: noShim,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const shim = stage.shim()
        shim.set('ipv6-missing', 'EAFNOSUPPORT')
        const { client, server } = await stage.tunnel({ client: shim, server: shim })
        await exchange(stage, seen)
        if (context.kind === 'phantun') return
        const said = [...complaints(client), ...complaints(server)]
        seen.add(
          `says "${said[0]}"`,
          said.length === 2 && [client, server].every(end => end.times('ipv6-missing') === 1),
        )
        seen.add(`refused ${shim.hits('ipv6-missing')} times`, shim.hits('ipv6-missing') > 0)
      }),
  },
]

/** How often an end has said that it goes on without super-packets, whether they were refused at the start or later. */
const fallBacks = (end: Child): number => end.times('super-packets-unused')

const superPackets: readonly Scenario[] = [
  {
    name: 'super-packets-refused',
    what: 'a kernel that takes the settings for super-packets and refuses those of equal datagrams with EINVAL',
    bar: 'tried at the start: everything arrives, one warning at each end',
    phantun: false,
    absent: noShim,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const shim = stage.shim()
        shim.set('tun-gso-remainder', 'EINVAL')
        const { client, server } = await stage.tunnel({ client: shim, server: shim })
        const tried = shim.hits('tun-gso-remainder')
        await exchange(stage, seen)
        const again = shim.hits('tun-gso-remainder') - tried
        seen.add(`${tried} super-packets refused at the start, ${again} later`, tried > 0 && again === 0)
        for (const end of [client, server]) seen.add(`${fallBacks(end)} warning`, fallBacks(end) === 1)
      }),
  },
  {
    name: 'super-packets-refused-later',
    what: 'the kernel begins to refuse super-packets under load, in one of three ways (EINVAL, EOPNOTSUPP, E2BIG)',
    bar: 'segments from then on, nothing lost, one warning at each end',
    phantun: false,
    absent: noShim,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        for (const error of stage.short ? (['EINVAL'] as const) : (['EINVAL', 'EOPNOTSUPP', 'E2BIG'] as const)) {
          const shim = stage.shim(error)
          const { client, server } = await stage.tunnel({ client: shim, server: shim })
          const application = await stage.application()
          await application.knock()
          let came = 0
          for (let round = 0; round < 10; round++) {
            if (round === 2) shim.set('tun-gso', error)
            came += await application.burst(20, 1_000)
          }
          const refused = shim.hits('tun-gso')
          seen.add(
            `${error}: ${refused} refused, ${came} of 200 came back`,
            refused > 0 && refused <= 4 && came === 200,
          )
          for (const end of [client, server]) await end.until(() => fallBacks(end) > 0, 'a warning')
          const said = [client, server].map(fallBacks)
          seen.add(
            `${said.join(' + ')} warnings`,
            said.every(count => count === 1),
          )
          await stage.stopPrograms()
        }
      }),
  },
]

/** The flags that TUNSETIFF or TUNSETOFFLOAD may refuse, and the sentence that must follow. */
const tunRefusals: readonly { fault: Fault; said: RegExp }[] = [
  { fault: 'tun-vnet-hdr', said: /IFF_VNET_HDR/u },
  { fault: 'tun-multi-queue', said: /IFF_MULTI_QUEUE/u },
  { fault: 'tun-excl', said: /IFF_TUN_EXCL/u },
  { fault: 'tun-offload', said: /TUNSETOFFLOAD/u },
]

const tunFlags: Scenario = {
  name: 'tun-flags',
  what: 'a kernel that refuses one of the flags IFF_VNET_HDR, IFF_MULTI_QUEUE, IFF_TUN_EXCL, or offloads',
  bar: 'each is given up, what is lost with it is said, and the tunnel works',
  phantun: true,
  absent: noShim,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      for (const { fault, said } of tunRefusals) {
        const shim = stage.shim(fault)
        shim.set(fault, 'EINVAL')
        const { server } = await stage.tunnel({
          server: { ...shim, flags: context.kind === 'ours' ? ['--queues', '2'] : [] },
        })
        const echo = await (await stage.application()).knock()
        const text = complaints(server).find(text => said.test(text))
        const wanted = context.kind === 'phantun' || (text !== undefined && shim.hits(fault) > 0)
        seen.add(`${fault}: echo after ${seconds(echo)}${text ? `, "${text}"` : ''}`, echo !== undefined && wanted)
        await stage.stopPrograms()
      }
    }),
}

export const devices: readonly Scenario[] = [...ipv6, ...superPackets, tunFlags]

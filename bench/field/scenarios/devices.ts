/** The TUN interface: kernels that lack or refuse something, and others who take away what is ours. */
import type { Scenario } from '../../checks/scenario.js'
import { complaints, type Seen, Stage, seconds } from '../stage.js'

/** Says how an exchange went: a knock, then bursts of equal datagrams, which are super-packets wherever they may be. */
const exchange = async (stage: Stage, seen: Seen, rounds = 5): Promise<void> => {
  const application = await stage.application()
  const first = await application.knock()
  seen.add(`first echo after ${seconds(first)}`, first !== undefined)
  let came = 0
  for (let i = 0; i < rounds; i++) came += await application.burst(20, 1_000)
  seen.add(`${came} of ${20 * rounds} in bursts`, came === 20 * rounds)
}

const withoutIpv6 = (stage: Stage): void => {
  for (const side of [stage.network.a, stage.network.b]) {
    for (const where of ['all', 'default']) stage.setting(side, `net.ipv6.conf.${where}.disable_ipv6`, 1, 0)
  }
}

export const devices: readonly Scenario[] = [
  {
    name: 'ipv6-off',
    what: 'IPv6 is switched off by `disable_ipv6`, as in containers and on many hosts',
    bar: 'runs over IPv4 with one warning',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        withoutIpv6(stage)
        const { client, server } = await stage.tunnel()
        await exchange(stage, seen)
        if (context.kind === 'phantun') return
        const said = [...complaints(client), ...complaints(server)]
        seen.add(`says: "${said[0]}"`, said.length === 2 && said.every(text => text.includes('IPv6')))
      }),
  },
]

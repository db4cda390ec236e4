/** What no honest peer sends: every malformed packet by name, and what a fuzzer finds. */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { missingTool } from '../../src/lab/tools.js'
import { faultNames } from '../../src/wire/fault.js'
import type { Context, Scenario, Verdict } from '../checks/scenario.js'
import { tuns } from '../ends.js'
import { programs, root } from '../programs.js'
import type { Sent } from '../scenario.js'
import type { Injected } from './inject.js'
import { percentMissing, Rig } from './rig.js'

const malformed = async ({ network, kind, short }: Context): Promise<Verdict> =>
  Rig.with(network, kind, async rig => {
    const rounds = short ? 20 : 200
    const live = rig.load({ rate: 2_000, seconds: short ? 3 : 8 })
    await sleep(1_000)
    const how = ['--tun', tuns.b, '--rounds', String(rounds)]
    const injected = await rig.run(network.b, [...programs.inject, ...how]).json<Injected>()
    const { datagrams: sent } = await live.json<Sent>()
    await sleep(300)
    const lost = percentMissing(sent, await rig.arrived())
    const alive = rig.server.running
    const counters = kind === 'ours' ? await rig.counters('server') : {}
    const reasons = [...faultNames, 'notForUs', 'otherProtocol']
    const counted = reasons.reduce((sum, name) => sum + (counters[name] ?? 0), 0)
    return {
      figure:
        `${injected.sent} packets of ${injected.classes} classes: ${alive ? 'alive' : 'dead'}, ${lost.toFixed(2)} % of the live flow lost` +
        (kind === 'ours' ? `, ${counted} of ${injected.malformed} refused and counted` : ''),
      passed: alive && lost < (short ? 1 : 0.1) && injected.sent > 0 && counted >= injected.malformed,
    }
  })

const fuzzSeconds = 60

const fuzz = async (): Promise<Verdict> => {
  const args = [`${root}scripts/fuzz.mjs`, '--seconds', String(fuzzSeconds)]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 400_000 })
  const said = stdout.split('\n').find(line => line.startsWith('fuzz: seed'))
  const failed = stderr.split('\n').find(line => line !== '') ?? `ended with ${status}`
  return { figure: status === 0 && said !== undefined ? said.slice('fuzz: '.length) : failed, passed: status === 0 }
}

export const hostile: readonly Scenario[] = [
  {
    name: 'malformed',
    what: 'every malformed packet that the tests know by name, 200 times over, beside a live flow',
    bar: 'it lives, the live flow loses < 0.1 %, each is counted',
    phantun: true,
    run: malformed,
  },
  {
    name: 'fuzz',
    what: `the whole inbound path, the addon under the address and undefined-behaviour sanitizers, for ${fuzzSeconds} s (\`npm run fuzz\` for hours)`,
    bar: 'no finding; every verdict is the naive parser’s too',
    phantun: false,
    long: true,
    absent: () => missingTool('clang'),
    run: fuzz,
  },
]

/** Kernels and devices that cannot handle many UDP datagrams at once, and interfaces with a small MTU. */
import type { Child } from '../../../src/lab/child.js'
import type { Scenario } from '../../checks/scenario.js'
import { programs } from '../../programs.js'
import { crowd } from '../crowd.js'
import { type Application, complaints, type Seen, Stage } from '../stage.js'

/** Each application in turn sends bursts of equal datagrams, and all of them must come back. */
const bursts = async (seen: Seen, what: string, applications: readonly Application[], bytes = 1_200): Promise<void> => {
  const rounds = 3
  const size = 40
  let came = 0
  for (const application of applications) {
    // The connection opens first, since datagrams held while it opens are no burst.
    if ((await application.knock()) === undefined) seen.add(`${what}: no echo`, false)
    for (let i = 0; i < rounds; i++) came += await application.burst(size, bytes, 3_000)
  }
  const all = rounds * size * applications.length
  seen.add(`${what}: ${came} of ${all}`, came === all)
}

const without = (child: Child): string =>
  /"without":\[([^\]]*)\]/u.exec(child.stderr)?.[1].replaceAll('"', '') ?? 'nothing'

const udpOldKernel: Scenario = {
  name: 'udp-old-kernel',
  what: 'a kernel without UDP_GRO, without UDP_SEGMENT (which ignores requests to cut), and without both, at both ends',
  bar: 'every datagram arrives whole; the line that says that it is ready and `doctor` name what is missing',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const shim = stage.shim()
      await stage.echo()
      const rows = [
        { gro: true, segment: true, said: 'UDP_GRO,UDP_SEGMENT' },
        { gro: true, segment: false, said: 'UDP_GRO' },
        { gro: false, segment: true, said: 'UDP_SEGMENT' },
      ]
      for (const { gro, segment, said } of stage.short ? rows.slice(0, 1) : rows) {
        shim.set('udp-gro-missing', gro ? 'ENOPROTOOPT' : undefined)
        shim.set('udp-segment-missing', segment ? 'ENOPROTOOPT' : undefined)
        const ends = await Promise.all([
          stage.start('server', { env: shim.env }),
          stage.start('client', { env: shim.env }),
        ])
        await bursts(seen, `without ${said}`, await crowd(stage, 2))
        if (stage.kind === 'ours') {
          const saidBy = ends.map(without)
          if (!saidBy.every(words => words === said)) seen.add(`said: without ${saidBy.join(' and ')}`, false)
          if (!stage.short) {
            const doctor = stage.run(stage.network.b, [...programs.tunnel, 'doctor'], shim.env)
            const code = await doctor.ended
            const notes = doctor.stdout.split('\n').filter(line => /^note.*: UDP_\w+ is missing/u.test(line)).length
            seen.add(`doctor: code ${code}, ${notes} notes`, code === 0 && notes === Number(gro) + Number(segment))
          }
        }
        await Promise.all(ends.map(end => end.stop()))
      }
    }),
}

const udpSegmentsRefused: Scenario = {
  name: 'udp-segments-refused',
  what: 'datagrams of 1,450 bytes where the interface behind the tunnel has an MTU of 1,400; later sends of several datagrams are refused with EIO, EINVAL, EOPNOTSUPP, at both ends',
  bar: 'every datagram arrives, and a connection remembers that it was refused',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const shim = stage.shim()
      const { a, b } = stage.network
      stage.finally(() => a.command(['ip', 'link', 'set', 'lo', 'mtu', '65536']))
      for (const side of [a, b]) side.command(['ip', 'link', 'set', 'lo', 'mtu', '1400'])
      const { client, server } = await stage.tunnel({ client: { env: shim.env }, server: { env: shim.env } })
      await bursts(seen, 'at MTU 1,400', await crowd(stage, 2), 1_450)
      for (const side of [a, b]) side.command(['ip', 'link', 'set', 'lo', 'mtu', '65536'])
      for (const error of ['EIO', 'EINVAL', 'EOPNOTSUPP'] as const) {
        shim.set('udp-segment-refused', error)
        const before = shim.hits('udp-segment-refused')
        const applications = await crowd(stage, 2)
        await bursts(seen, error, applications)
        const hits = shim.hits('udp-segment-refused') - before
        // Each end of each connection finds out for itself, once for each size of datagrams.
        seen.add(`${hits} refusals`, hits <= 4 * applications.length)
        // The limit holds from the start on too.
        if (stage.kind === 'ours' && error === 'EIO' && hits === 0) seen.add('nothing was refused', false)
      }
      if (stage.kind === 'ours') {
        const lines = complaints(client).length + complaints(server).length
        if (lines > 0) seen.add(`${lines} warnings`, false)
      }
    }),
}

export const udp: readonly Scenario[] = [udpOldKernel, udpSegmentsRefused]

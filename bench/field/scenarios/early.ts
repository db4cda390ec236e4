/** Programs that start before the network does: names, addresses and interfaces that come late. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { addresses } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports } from '../../ends.js'
import { Resolver, Service } from '../services.js'
import { complaints, type Seen, Stage, seconds } from '../stage.js'
import { until } from '../wait.js'

/** Waits until a program says this of a name. */
const says = async (
  seen: Seen,
  child: Child,
  event: 'name-unresolved' | 'name-resolved',
  patienceMs = 10_000,
): Promise<void> => {
  if (!(await until(() => child.times(event) > 0, patienceMs))) seen.add(`${event} is not said`, false)
}

/**
 * Asks a program to end, which it must do within two seconds and with code 0. A busy machine may take a little longer.
 */
const expectEnd = async (seen: Seen, what: string, child: Child): Promise<void> => {
  const start = performance.now()
  await child.stop(5_000)
  const [ms, code] = [performance.now() - start, await child.ended]
  seen.add(`SIGTERM ${what}: code ${code} after ${seconds(ms)}`, code === 0 && ms < 3_000)
}

const namesLate: Scenario = {
  name: 'names-late',
  what: 'both ends start before their names resolve: one is not in the hosts file yet, the name server for the other one refuses, or is silent',
  bar: 'both run and say so once, end when asked, and carry the first datagrams as soon as the names are there',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { short, kind } = stage
      const asking = Resolver.before(stage)
      const { before, move } = stage.hosts('service.test')
      // The server waits for its name only in the long form, since the two programs would wait one after the other.
      const service = short ? addresses.a.veth : 'service.test'
      const server = { remote: `${service}:${ports.far}`, before: [...before, ...asking] }
      const client = { remote: `tunnel.test:${ports.server}`, before: asking }
      // In the short form no name server runs, and its host says so at once.
      const resolver = short ? undefined : await Resolver.open(stage)
      if (resolver !== undefined) resolver.silent = true
      const began = performance.now()
      const start = async (): Promise<[Child, Child]> =>
        Promise.all([stage.start('server', server), stage.start('client', client)])
      let [far, near] = await start()
      seen.add(`both run after ${seconds(performance.now() - began)}`)
      await says(seen, near, 'name-unresolved')
      if (!short) await says(seen, far, 'name-unresolved')
      if (!short && kind === 'ours') {
        await Promise.all([expectEnd(seen, 'meanwhile, to the client', near), expectEnd(seen, 'to the server', far)])
        ;[far, near] = await start()
      }

      const { received } = await Service.open(stage, addresses.a.veth)
      const application = await stage.application()
      if (!short) await sleep(3_000)
      move(addresses.a.veth)
      // Only the client holds datagrams that come too early.
      if (kind === 'ours' && !short) await says(seen, far, 'name-resolved', 20_000)
      const words = ['one', 'two', 'three']
      for (const word of words) application.send(word)
      const late = resolver ?? (await Resolver.open(stage))
      late.set('tunnel.test', addresses.b.tunPeer)
      late.silent = false
      const there = performance.now()
      await until(() => application.received.length >= words.length, 20_000)
      const came = application.received.join(' ')
      seen.add(`first datagrams after ${seconds(performance.now() - there)}: ${came}`, came === words.join(' '))
      if (kind === 'phantun') return
      for (const child of short ? [near] : [near, far]) {
        await says(seen, child, 'name-resolved')
        const said = [child.times('name-unresolved'), child.times('name-resolved')]
        seen.add(
          `said ${said.join(' and ')} times`,
          said.every(count => count === 1),
        )
      }
      if (received.length !== words.length) seen.add(`the service got ${received.length}`, false)
    }),
}

const entranceLate: Scenario = {
  name: 'entrance-late',
  what: 'the address of `--local`, or its interface `br-lan`, is not there when the client starts; later the interface is made anew',
  bar: 'a warning says what is missing, and it is served within 8 s of its coming, each time',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { a } = stage.network
      await Service.open(stage, addresses.a.veth)
      const local = `[fe80::1%br-lan]:${ports.client}`
      const [, client] = await Promise.all([
        stage.start('server', { remote: `${addresses.a.veth}:${ports.far}` }),
        stage.start('client', { local }),
      ])
      const make = (): void => {
        a.command(['ip', 'link', 'add', 'br-lan', 'type', 'veth', 'peer', 'name', 'lan-end'])
        a.command(['sysctl', '-qw', 'net.ipv6.conf.br-lan.accept_dad=0'])
        for (const name of ['br-lan', 'lan-end']) a.command(['ip', 'link', 'set', name, 'up'])
        a.command(['ip', 'address', 'add', 'fe80::1/64', 'dev', 'br-lan', 'nodad'])
      }
      const remove = (): void => a.command(['ip', 'link', 'delete', 'br-lan'])
      const expect = async (what: string, host: string): Promise<void> => {
        const application = await stage.application(host)
        const ms = await application.knock(8_000)
        seen.add(`${what}: served after ${seconds(ms)}`, ms !== undefined)
      }
      make()
      stage.finally(remove)
      await expect('an interface', 'fe80::1%br-lan')
      if (!stage.short) {
        remove()
        make()
        await expect('another one', 'fe80::1%br-lan')
      }
      // First the whole interface is missing, then only its address for a moment.
      const expectWarnings = (child: Child, atMost: number): void => {
        const said = complaints(child)
        const missing = said.length === complaints(child, 'entrance-waiting').length
        if (stage.kind === 'ours')
          seen.add(`${said.length} warnings`, missing && said.length >= 1 && said.length <= atMost)
      }
      expectWarnings(client, stage.short ? 2 : 4)
      if (stage.short) return

      await client.stop()
      const again = await stage.start('client', { local: `10.74.0.1:${ports.client}` })
      await sleep(1_000)
      a.command(['ip', 'address', 'add', '10.74.0.1/32', 'dev', 'lo'])
      stage.finally(() => a.command(['ip', 'address', 'delete', '10.74.0.1/32', 'dev', 'lo']))
      await expect('an address', '10.74.0.1')
      expectWarnings(again, 1)
    }),
}

export const early: readonly Scenario[] = [namesLate, entranceLate]

/** The path from the server to the UDP service changes, and the path back to the client's sources. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { addresses, type Side } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports } from '../../ends.js'
import { ask, crowd, expectServed } from '../crowd.js'
import { Service } from '../services.js'
import { type Seen, Stage, seconds } from '../stage.js'
import { until } from '../wait.js'

const name = 'service.test'
const named = `${name}:${ports.far}`

/** A second network on the wire: the addresses of A and of B. */
const second = { a: '10.72.0.50', other: '10.72.0.51', a6: 'fd72::50', b: '10.72.0.2', b6: 'fd72::2' } as const

const address = (side: Side, what: 'add' | 'delete', text: string, device: string): void => {
  const six = text.includes(':')
  const options = six && what === 'add' ? ['nodad'] : []
  side.command(['ip', 'address', what, `${text}/${six ? 64 : 24}`, 'dev', device, ...options])
}

const joinSecond = ({ network: { a, b, vethA, vethB } }: Stage): void => {
  for (const text of [second.a, second.other, second.a6]) address(a, 'add', text, vethA)
  for (const text of [second.b, second.b6]) address(b, 'add', text, vethB)
}

/** The server has accepted one connection for each application, so none was replaced. */
const expectSame = async ({ kind }: Stage, seen: Seen, server: Child, size: number): Promise<void> => {
  if (kind === 'phantun') return
  const count = () => server.times('connection-accepted')
  await until(() => count() >= size)
  const accepted = count()
  seen.add(accepted === size ? 'the same connections' : `${accepted} connections`, accepted === size)
}

const serviceMoves: Scenario = {
  name: 'service-moves',
  what: "the service's name moves to another address; the old one refuses, is silent, or is gone",
  bar: 'the same connections follow, within 5 s when they are refused, else within 20 s',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { a, vethA } = stage.network
      joinSecond(stage)
      const { before, move } = stage.hosts(name)
      move(addresses.a.veth)
      let service = await Service.open(stage, addresses.a.veth)
      const [server] = await Promise.all([stage.start('server', { remote: named, before }), stage.start('client')])
      const applications = await crowd(stage, 5)
      if (!(await expectServed(seen, 'served', applications))) return
      const steps = [
        { how: 'the old address refuses', to: second.a, leave: () => service.close(), limitMs: 5_000 },
        { how: 'and is of the other family', to: second.a6, leave: () => service.close(), limitMs: 5_000 },
        { how: 'is silent', to: second.other, leave: () => {}, limitMs: 20_000 },
        { how: 'is gone', to: second.a, leave: () => address(a, 'delete', second.other, vethA), limitMs: 20_000 },
      ]
      for (const { how, to, leave, limitMs } of stage.short ? steps.slice(0, 1) : steps) {
        service.silent = true
        leave()
        service = await Service.open(stage, to)
        move(to)
        const patience = stage.kind === 'ours' ? limitMs : Math.min(limitMs, 10_000)
        if (!(await expectServed(seen, how, applications, patience))) return
      }
      if (!stage.short) {
        // That a name no longer resolves is no reason to leave its address.
        service.close()
        move()
        await ask(applications, 500)
        await Service.open(stage, second.a)
        await expectServed(seen, 'the name is gone and the service restarts', applications, 5_000)
      }
      await expectSame(stage, seen, server, applications.length)
    }),
}

const sourceAddressLost: Scenario = {
  name: 'source-address-lost',
  what: 'the machine loses the address that datagrams leave from: the server towards its service, the client towards its sources',
  bar: 'the same connections go on: within 3 s over IPv4, 10 s over IPv6, and the client answers with the next datagram',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { a, b, vethB } = stage.network
      joinSecond(stage)
      const { before, move } = stage.hosts(name)
      move(second.a)
      const service = await Service.open(stage, second.a)
      const [server] = await Promise.all([
        stage.start('server', { remote: named, before }),
        stage.start('client', { local: `0.0.0.0:${ports.client}` }),
      ])
      const applications = await crowd(stage, 3)
      const swap = (from: string, to: string): void => {
        address(b, 'delete', from, vethB)
        address(b, 'add', to, vethB)
      }
      await expectServed(seen, 'served', applications)
      swap(second.b, '10.72.0.3')
      await expectServed(seen, 'another address', applications, 3_000)
      swap('10.72.0.3', '10.72.0.4')
      await expectServed(seen, 'and again', applications, 3_000)

      address(a, 'add', '10.74.0.1', 'lo')
      let added = true
      const remove = (): void => {
        if (added) address(a, 'delete', '10.74.0.1', 'lo')
        added = false
      }
      stage.finally(remove)
      const asker = await stage.application('10.74.0.1', ports.client, addresses.a.veth)
      seen.add(`the client's address: served after ${seconds(await asker.knock())}`)
      service.silent = true
      asker.send('a late answer, please')
      if (!(await service.hears('a late answer, please'))) seen.add('the question did not come', false)
      remove()
      service.answer('late')
      const start = performance.now()
      const answered = await until(() => asker.received.includes('late'), 3_000)
      seen.add(`its loss: answered ${answered ? `after ${seconds(performance.now() - start)}` : 'never'}`, answered)
      service.silent = false
      if (stage.short) return expectSame(stage, seen, server, applications.length + 1)

      b.command(['ip', 'route', 'add', 'prohibit', second.a])
      const prohibited = await applications[0].knock(1_500)
      seen.add('a route that forbids it', prohibited === undefined)
      b.command(['ip', 'route', 'delete', 'prohibit', second.a])
      await expectServed(seen, 'is lifted', applications)
      service.close()
      await Service.open(stage, second.a6)
      move(second.a6)
      await expectServed(seen, 'the name is an IPv6 address now', applications)
      swap(second.b6, 'fd72::3')
      await expectServed(seen, 'another IPv6 address', applications)
      await expectSame(stage, seen, server, applications.length + 1)
    }),
}

const nobodyListens: Scenario = {
  name: 'nobody-listens',
  what: "the service's name is `::1` first, as `localhost` often is; nobody listens, then somebody does at 127.0.0.1 alone, then at ::1 alone",
  bar: 'found at once where it is; one warning for each connection, and a line when somebody answers',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { before, move } = stage.hosts(name)
      move('::1', '127.0.0.1')
      const [server] = await Promise.all([stage.start('server', { remote: named, before }), stage.start('client')])
      const applications = await crowd(stage, stage.short ? 2 : 5)
      const { length } = applications
      const ours = stage.kind === 'ours'
      const unheard = async (round: number): Promise<void> => {
        for (const end = performance.now() + (ours ? 10_000 : 1_000); performance.now() < end; await sleep(50)) {
          for (const application of applications) application.send('anyone?')
          if (ours && server.times('service-refuses') >= round * length) return
        }
      }
      await unheard(1)
      const echo = await stage.echo(stage.network.b, '127.0.0.1')
      await expectServed(seen, 'somebody at 127.0.0.1', applications, 5_000)
      if (!stage.short) {
        await echo.stop()
        await unheard(2)
        await stage.echo(stage.network.b, '::1')
        await expectServed(seen, 'at ::1', applications, 5_000)
      }
      if (!ours) return
      const rounds = stage.short ? 1 : 2
      await until(() => server.times('service-answers') >= rounds * length)
      const [warned, heard] = [server.times('service-refuses'), server.times('service-answers')]
      const right = warned === rounds * length && heard === rounds * length
      seen.add(`${warned} warnings and ${heard} all-clears for ${length} connections, ${rounds} times`, right)
      await expectSame(stage, seen, server, length)
    }),
}

export const legs: readonly Scenario[] = [serviceMoves, sourceAddressLost, nobodyListens]

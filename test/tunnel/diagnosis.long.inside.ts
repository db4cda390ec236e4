/** A tunnel through which nothing comes says why: once, at the end where it shows. Translated networks whose rules lack something. */
import t, { type Test } from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork, type Network } from '../../src/lab/network.js'
import { ports, startClient, startServer, tuns, vethOfB } from '../support/programs.js'
import { knock, startService, UdpSource } from '../support/udp-source.js'

t.teardown(() => stopAll())

const warnings = (child: Child): string[] =>
  [...child.logged('server-unanswered'), ...child.logged('nothing-arrives')].map(({ msg }) => msg)

interface Case {
  readonly name: string
  /** What is broken, once the interfaces are there. */
  readonly breakIt: (network: Network) => void
  readonly server?: false
  readonly client?: RegExp
  readonly serverSays?: RegExp
}

const forwarding = (name: string, on: 0 | 1) => ['sysctl', '-qw', `net.ipv4.conf.${name}.forwarding=${on}`]

const cases: readonly Case[] = [
  {
    name: 'masquerade is missing at the client',
    breakIt: ({ a }) => a.command(['nft', 'delete', 'table', 'inet', 'lab']),
    client: /packets leave by wa\d+ with the source 192\.168\.200\.2, .* masquerades them is missing/u,
  },
  {
    name: 'the client’s machine does not forward',
    breakIt: ({ a }) => a.command(forwarding(tuns.a, 0)),
    client: /this machine does not forward what comes from tuna; switch it on/u,
  },
  {
    name: 'the client’s firewall drops',
    breakIt: ({ a }) =>
      a.command(['nft', 'add chain inet lab f { type filter hook forward priority 0; policy drop; }']),
    client: /packets from tuna do not leave this machine; a rule of its firewall drops them/u,
  },
  {
    name: 'the server’s machine is not there',
    breakIt: ({ a, b, vethA, vethB }) => {
      b.command(['ip', 'link', 'set', vethB, 'arp', 'off'])
      a.command(['ip', 'neighbour', 'flush', 'dev', vethA])
    },
    client: /nobody on wa\d+ answers for 10\.71\.0\.2; the server's machine is not there/u,
  },
  {
    name: 'there is no route to the server',
    breakIt: ({ a, vethA }) => a.command(['ip', 'route', 'delete', '10.71.0.0/24', 'dev', vethA]),
    client: /this machine has no route to 10\.71\.0\.2; its network is not there/u,
  },
  {
    name: 'the router towards the server is not there',
    breakIt: ({ a, vethA }) => {
      a.command(['ip', 'route', 'delete', '10.71.0.0/24', 'dev', vethA])
      a.command(['ip', 'route', 'add', '10.71.0.99', 'dev', vethA])
      a.command(['ip', 'route', 'add', '10.71.0.0/24', 'via', '10.71.0.99', 'src', addresses.a.veth])
    },
    client: /nobody on wa\d+ answers for 10\.71\.0\.99, the router towards 10\.71\.0\.2/u,
  },
  {
    name: 'there is no server',
    breakIt: () => {},
    server: false,
    client: /packets leave by wa\d+ as 10\.71\.0\.1, and 10\.71\.0\.2 does not answer/u,
  },
  {
    name: 'the port is not passed on to the server',
    breakIt: ({ b }) => b.command(['nft', 'delete', 'table', 'inet', 'lab']),
    client: /10\.71\.0\.2 refuses; .* does not pass port 4567 on to it \(DNAT\)/u,
    serverSays: /port 4567 of 10\.71\.0\.2 is asked for, .* refuses it by itself; .* pass it on to 192\.168\.201\.2/u,
  },
  {
    name: 'the server’s machine does not forward',
    breakIt: ({ b, vethB }) => b.command(forwarding(vethB, 0)),
    serverSays: /nothing reaches tunb: this machine does not forward what comes from wb\d+; switch it on/u,
  },
  {
    name: 'the server’s firewall drops',
    breakIt: ({ b }) =>
      b.command(['nft', 'add chain inet lab f { type filter hook forward priority 0; policy drop; }']),
    serverSays: /nothing reaches tunb: .* another rule drops what is forwarded/u,
  },
]

const tunnel = async (t: Test, network: Network, server = true) => {
  const there = server ? await startServer(t, network.b) : undefined
  const remote = `${vethOfB[4]}:${ports.server}`
  const here = await startClient(t, network.a, { remote })
  return { there, here, source: await UdpSource.open(t) }
}

for (const { name, breakIt, server, client, serverSays } of cases) {
  t.test(name, async t => {
    const network = await createNetwork('plain', { nat: ports.server })
    t.teardown(() => network.close())
    const { there, here, source } = await tunnel(t, network, server)
    breakIt(network)
    const traffic = setInterval(() => source.send('anyone?'), 200)
    t.teardown(() => clearInterval(traffic))
    if (client !== undefined) {
      await here.until(() => warnings(here).length > 0, 'a cause', 12)
      t.match(warnings(here), [client])
      t.equal(warnings(here).length, 1, 'once')
    }
    if (serverSays !== undefined && there !== undefined) {
      await there.until(() => warnings(there).length > 0, 'a cause', 12)
      t.match(warnings(there), [serverSays])
      t.equal(warnings(there).length, 1, 'once')
    }
    if (client === undefined && serverSays === undefined) t.fail('nothing is expected')
  })
}

t.test('a tunnel that works has nothing to say', async t => {
  const network = await createNetwork('plain', { nat: ports.server })
  t.teardown(() => network.close())
  await startService(t, network.b, 4)
  const { there, here, source } = await tunnel(t, network)
  await knock(source, 'hello')
  await new Promise(resolve => setTimeout(resolve, 6_500))
  t.same([...warnings(here), ...(there ? warnings(there) : [])], [])
  t.match(addresses.b.veth, '10.71.0.2')
})

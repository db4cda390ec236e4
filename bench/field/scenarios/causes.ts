/**
 * Networks that translate and lack a rule: which end names the cause, and whether the tunnel works once the rule is
 * there.
 */
import type { Child } from '../../../src/lab/child.js'
import { addresses, type Network } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports, tuns } from '../../ends.js'
import { complaints, type Role, Stage, seconds } from '../stage.js'

/** The timeout until a program names the cause. It starts to look for one after 5 s. */
const patience = 20_000

interface Cause {
  readonly name: string
  readonly what: string
  /** Takes the rule away, once the interfaces are there. */
  readonly lack: (network: Network, server: Child) => unknown
  readonly mend: (network: Network, stage: Stage) => unknown
  /** The end that must name the cause, and the words that its sentence must have. */
  readonly says: Partial<Record<Role, RegExp>>
}

const forwarding = (name: string, on: 0 | 1): string[] => ['sysctl', '-qw', `net.ipv4.conf.${name}.forwarding=${on}`]
const dropForwarded = ['nft', 'add chain inet lab stop { type filter hook forward priority 0; policy drop; }']
const passForwarded = ['nft', 'delete chain inet lab stop']
/** Takes away the rules of a chain, and gives them back. */
const without = (chain: 'out' | 'in'): string[] => ['nft', `flush chain inet lab ${chain}`]
const masquerade = ({ vethA }: Network): string[] => ['nft', `add rule inet lab out oifname ${vethA} masquerade`]
const dnat = ({ vethB }: Network): string[] => [
  'nft',
  `add rule inet lab in iifname ${vethB} meta nfproto ipv4 tcp dport ${ports.server} dnat ip to ${addresses.b.tunPeer}`,
]

const causes: readonly Cause[] = [
  {
    name: 'client-masquerade-missing',
    what: "the client's machine does not masquerade",
    lack: network => network.a.command(without('out')),
    mend: network => network.a.command(masquerade(network)),
    says: { client: /packets leave by \S+ with the source 192\.168\.200\.2, .* masquerades them is missing/u },
  },
  {
    name: 'client-forwarding-off',
    what: "the client's machine does not forward",
    lack: ({ a }) => a.command(forwarding(tuns.a, 0)),
    mend: ({ a }) => a.command(forwarding(tuns.a, 1)),
    says: { client: /this machine does not forward what comes from tuna; switch it on/u },
  },
  {
    name: 'client-firewall',
    what: "the firewall of the client's machine drops what is forwarded",
    lack: ({ a }) => a.command(dropForwarded),
    mend: ({ a }) => a.command(passForwarded),
    says: { client: /packets from tuna do not leave this machine; a rule of its firewall drops them/u },
  },
  {
    name: 'server-not-running',
    what: 'the server does not run, and its machine drops what is for it',
    lack: (_, server) => server.process.kill('SIGKILL'),
    mend: (_, stage) => stage.start('server'),
    says: { client: /packets leave by \S+ as 10\.71\.0\.1, and 10\.71\.0\.2 does not answer/u },
  },
  {
    name: 'server-machine-off',
    what: "the server's machine is switched off: its neighbours ask for it in vain",
    lack: ({ a, b, vethA, vethB }) => {
      b.command(['ip', 'link', 'set', vethB, 'arp', 'off'])
      a.command(['ip', 'neighbour', 'flush', 'dev', vethA])
    },
    mend: ({ b, vethB }) => b.command(['ip', 'link', 'set', vethB, 'arp', 'on']),
    says: { client: /nobody on wa\d+ answers for 10\.71\.0\.2; the server's machine is not there/u },
  },
  {
    name: 'client-route-missing',
    what: "the client's machine has no route to the server: its network is down",
    lack: ({ a, vethA }) => a.command(['ip', 'route', 'delete', '10.71.0.0/24', 'dev', vethA]),
    mend: ({ a, vethA }) => a.command(['ip', 'route', 'add', '10.71.0.0/24', 'dev', vethA, 'src', addresses.a.veth]),
    says: { client: /this machine has no route to 10\.71\.0\.2; its network is not there/u },
  },
  {
    name: 'server-port-dropped',
    what: "the firewall of the server's machine drops what comes for the port",
    lack: ({ b, vethB }) =>
      b.command([
        'nft',
        `add chain inet lab deaf { type filter hook prerouting priority -300; iifname ${vethB} tcp dport ${ports.server} drop; }`,
      ]),
    mend: ({ b }) => b.command(['nft', 'delete chain inet lab deaf']),
    says: {
      client: /packets leave by \S+ as 10\.71\.0\.1, and 10\.71\.0\.2 does not answer/u,
      server: /port 4567 of 10\.71\.0\.2 is asked for, but nothing reaches tunb: .* another rule drops/u,
    },
  },
  {
    name: 'server-dnat-missing',
    what: "the server's machine does not pass the port on to the server (DNAT)",
    lack: network => network.b.command(without('in')),
    mend: network => network.b.command(dnat(network)),
    says: {
      client: /10\.71\.0\.2 refuses; .* does not pass port 4567 on to it \(DNAT\)/u,
      server: /port 4567 of 10\.71\.0\.2 is asked for, .* refuses it by itself; .* pass it on to 192\.168\.201\.2/u,
    },
  },
  {
    name: 'server-dnat-elsewhere',
    what: "the server's port is passed on to an address that nobody has",
    lack: ({ b, vethB }) => {
      b.command(without('in'))
      b.command([
        'nft',
        `add rule inet lab in iifname ${vethB} meta nfproto ipv4 tcp dport ${ports.server} dnat ip to 192.168.201.7`,
      ])
    },
    mend: network => {
      network.b.command(without('in'))
      network.b.command(dnat(network))
    },
    says: { server: /port 4567 of 10\.71\.0\.2 is asked for, but nothing reaches tunb: .*192\.168\.201\.2/u },
  },
  {
    name: 'server-forwarding-off',
    what: "the server's machine does not forward",
    lack: ({ b, vethB }) => b.command(forwarding(vethB, 0)),
    mend: ({ b, vethB }) => b.command(forwarding(vethB, 1)),
    says: { server: /nothing reaches tunb: this machine does not forward what comes from wb\d+; switch it on/u },
  },
  {
    name: 'server-firewall',
    what: "the firewall of the server's machine drops what is forwarded",
    lack: ({ b }) => b.command(dropForwarded),
    mend: ({ b }) => b.command(passForwarded),
    says: { server: /nothing reaches tunb: .* another rule drops what is forwarded/u },
  },
]

/** What one of ours says of the cause. */
const causesOf = (child: Child): string[] => [
  ...complaints(child, 'server-unanswered'),
  ...complaints(child, 'nothing-arrives'),
]
const found = (child: Child, words: RegExp): string | undefined => causesOf(child).find(text => words.test(text))

/** Lines of phantun's log beyond those of every start. */
const stockWords = (child: Child): string[] =>
  child.stderr.split('\n').filter(line => /WARN|ERROR|rejected|timed out|unable|panic/iu.test(line))

export const missingRules: readonly Scenario[] = causes.map(({ name, what, lack, mend, says }) => ({
  name,
  what,
  bar: `${Object.keys(says).join(' and ')} name${Object.keys(says).length === 1 ? 's' : ''} the cause within 10 s; all is well without a restart when it is mended`,
  phantun: true,
  // A program looks for a cause after five seconds only, so the short form has a single one. test/tunnel/diagnosis has
  // all of them.
  long: true,
  network: { nat: ports.server },
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { client, server } = await stage.tunnel({ client: { remote: `${addresses.b.veth}:${ports.server}` } })
      lack(stage.network, server)
      const start = performance.now()
      const traffic = await stage.application()
      const asking = setInterval(() => traffic.send('anyone?'), 200)
      stage.finally(() => clearInterval(asking))
      const ends = { client, server }
      if (context.kind === 'phantun') {
        await new Promise(resolve => setTimeout(resolve, 10_000))
        // None of phantun's words is about a cause.
        const words = [...stockWords(client), ...stockWords(server)]
        seen.add(words.length === 0 ? 'says nothing in 10 s' : `says: "${words[0].trim()}"`, false)
      } else {
        for (const [role, words] of Object.entries(says) as [Role, RegExp][]) {
          await ends[role].until(() => found(ends[role], words) !== undefined, `cause (${role})`, patience / 1_000)
          const took = performance.now() - start
          const text = found(ends[role], words)
          seen.add(`${role} after ${seconds(took)}: "${text}"`, took < 12_000)
        }
        const causes = [client, server].flatMap(causesOf)
        seen.add(
          `said ${causes.length === 1 ? 'once' : `${causes.length} times`}`,
          causes.length === Object.keys(says).length,
        )
      }
      await mend(stage.network, stage)
      clearInterval(asking)
      const came = await (await stage.application()).knock(15_000)
      seen.add(`mended: echo after ${seconds(came)}`, came !== undefined)
    }),
}))

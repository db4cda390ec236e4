/** As little privilege as possible: an ordinary user with CAP_NET_ADMIN, with a TUN interface from outside, and after giving up all. */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork } from '../../src/lab/network.js'
import { native, TunFlag } from '../../src/native.js'
import { cli, endWith, loopback, ports, stackOfB, startServer, tuns } from '../support/programs.js'
import { knock, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

/** Nobody: a user that every Debian has. */
const nobody = 65_534
const asNobody = (capabilities: string): string[] => [
  ...['setpriv', '--reuid', String(nobody), '--regid', String(nobody), '--clear-groups'],
  ...[
    '--bounding-set',
    `-all${capabilities}`,
    '--inh-caps',
    `-all${capabilities}`,
    '--ambient-caps',
    `-all${capabilities}`,
  ],
]
/** A /dev/net/tun that everybody may open, as most systems have it; some keep it to root. */
const openDevice = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"',
  'sh',
]
/** For this user root makes a folder below /run, which is to be nobody else's. */
const ownRun = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh']
const local = ['--local', `${loopback[4]}:${ports.client}`]
const remote = ['--remote', `${stackOfB[4]}:${ports.server}`]

/** Whether an ordinary user may read this checkout: a test's own affair, not the tunnel's. */
const readable = spawnSync('setpriv', ['--reuid', String(nobody), '--clear-groups', 'test', '-r', cli[1]]).status === 0
const skip = readable ? false : `an ordinary user may not read ${cli[1]}`
if (!readable) t.comment(`skipped: ${skip}`)

const open = async (t: Test) => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  return UdpSource.open(t)
}

/** 'uid capabilities' of each thread: effective and permitted. */
const privileges = (pid: number): Set<string> =>
  new Set(
    readdirSync(`/proc/${pid}/task`).map(task => {
      const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'latin1')
      const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'mu').exec(status)?.[1]
      return [field('Uid'), field('CapEff'), field('CapPrm')].join(' ')
    }),
  )

const ready = (client: Child) => client.until(() => client.times('ready') > 0, 'readiness', 20)

t.test('an ordinary user with CAP_NET_ADMIN and nothing else', { skip }, async t => {
  const source = await open(t)
  const command = [...openDevice, ...asNobody(',+net_admin'), ...cli, 'client', ...local, ...remote, '--tun', tuns.a]
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  await ready(client)
  t.same([...privileges(client.pid)], [`${nobody} 0000000000001000 0000000000001000`])
  await knock(source, 'hello')
})

t.test('--user: no privilege at all once the interface is there', { skip }, async t => {
  const source = await open(t)
  const command = [...ownRun, ...cli, 'client', ...local, ...remote, '--tun', tuns.a, '--user', 'nobody']
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  await ready(client)
  t.same([...privileges(client.pid)], [`${nobody} 0000000000000000 0000000000000000`], 'every thread')
  await knock(source, 'hello')
})

t.test('--user: somebody who does not exist', async t => {
  const command = [...cli, 'client', ...local, ...remote, '--tun', tuns.a, '--user', 'no such user']
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  t.equal(await client.ended, 2)
  t.match(client.stderr, /There is no user "no such user"/u)
  t.notOk(readFileSync('/proc/self/net/dev', 'latin1').includes(tuns.a), 'and no interface is left')
})

/** Two queues of one interface, up and addressed, as root. */
const openTun = (t: Test): number[] => {
  const flags = TunFlag.multiQueue | TunFlag.vnetHeader
  const queues = [native.tunOpen(tuns.a, flags), native.tunOpen(tuns.a, flags)]
  t.teardown(() => {
    for (const fd of queues) native.close(fd)
  })
  t.ok(queues.every(fd => fd >= 0))
  network.a.command(['ip', 'link', 'set', tuns.a, 'up'])
  const { tunLocal, tunPeer } = addresses.a
  network.a.command(['ip', 'address', 'add', tunLocal, 'peer', tunPeer, 'dev', tuns.a])
  return queues
}

t.test('an interface that root has opened, and a client without any privilege', { skip }, async t => {
  const source = await open(t)
  const queues = openTun(t)
  const [program, ...args] = [...asNobody(''), ...cli, 'client', '-4', ...local, ...remote, '--tun-fd', '3,4']
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe', ...queues],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', text => {
    said += text
  })
  const ended = new Promise(resolve => child.on('exit', resolve))
  t.teardown(async () => {
    child.kill('SIGTERM')
    await ended
  })
  await knock(source, 'hello')
  for (let i = 0; i < 100 && !said.includes('"event":"ready"'); i++) await sleep(20)
  t.match(said, /"event":"ready"/)
  t.same([...privileges(child.pid ?? 0)], [`${nobody} 0000000000000000 0000000000000000`])
})

t.test('descriptors that are no TUN queues', async t => {
  for (const [fd, wanted] of [
    ['0', /Descriptor 0 of --tun-fd is not an attached TUN queue/u],
    ['99', /Descriptor 99 of --tun-fd is not an attached TUN queue \(EBADF\)/u],
  ] as const) {
    const command = [...cli, 'client', ...local, ...remote, '--tun-fd', fd]
    const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
    t.equal(await client.ended, 2)
    t.match(client.stderr, wanted)
  }
})

/** SIGINT and SIGTERM: the program says goodbye to every peer, removes its interface and exits 0, within two seconds; whenever they come. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork } from '../../src/lab/network.js'
import { commandLine, endWith, startClient, startServer, tuns } from '../support/programs.js'
import { exchange, randomDatagrams, startService, UdpSource } from '../support/udp-source.js'

const connections = 5
const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

/** An IPv4 address as /proc/net/udp writes it. */
const hex = (address: string): string =>
  Buffer.from(address.split('.').map(Number).reverse()).toString('hex').toUpperCase()

for (const role of ['client', 'server'] as const) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    t.test(`${signal} to the ${role}`, async t => {
      await startService(t, network.b, 4)
      const server = await startServer(t, network.b)
      const client = await startClient(t, network.a)
      const sources = await Promise.all(Array.from({ length: connections }, () => UdpSource.open(t)))
      const datagrams = sources.map(() => randomDatagrams(Array(20).fill(1_000)))
      t.equal(await exchange(sources, datagrams, 4), undefined)

      const [side, ended, other, tun] =
        role === 'client' ? [network.a, client, server, tuns.a] : [network.b, server, client, tuns.b]
      t.ok(ended.hasInterface(tun))
      const start = performance.now()
      ended.process.kill(signal)
      await other.until(() => other.times('connection-closed') === connections, 'goodbyes', 2)
      t.equal(await ended.ended, 0, 'exit code')
      const took = performance.now() - start
      t.ok(took < 2_000, `gone after ${took.toFixed()} ms`)
      const witness = side.run(['cat', '/proc/net/dev'], { name: 'interfaces', seconds: 5 })
      await witness.ended
      t.match(witness.stdout, 'lo:')
      t.notMatch(witness.stdout, tun, 'the interface is gone')
      t.ok(other.running, 'the other side lives on')
      t.ok(ended.logged('stopped')[0]?.traffic, 'what it did is told')
    })
  }
}

/** Whether a process takes SIGHUP: the first thing that our code does. What comes before is Node.js itself. */
const takesSignals = ({ pid }: Child): boolean => {
  const caught = /^SigCgt:\s+(\S+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
  return (BigInt(`0x${caught}`) & 1n) !== 0n
}

for (const [role, signal] of [
  ['client', 'SIGTERM'],
  ['client', 'SIGINT'],
  ['server', 'SIGTERM'],
] as const) {
  t.test(`${signal} while a ${role} starts`, async t => {
    for (const delay of [0, 10, 20, 50, 100, 150, 200, 300, 500]) {
      const command = commandLine(role)
      const child = endWith(t, network.a.run(command, { name: role, seconds: 60 }))
      await child.until(() => takesSignals(child), 'its first line')
      await sleep(delay)
      child.process.kill(signal)
      const start = performance.now()
      t.equal(await child.ended, 0, `${delay} ms later`)
      t.ok(performance.now() - start < 2_000, 'at once')
      t.notMatch(child.stderr, /\n\s+at |"level":[56]0/u, 'nothing went wrong')
    }
    t.notMatch(readFileSync('/proc/self/net/dev', 'latin1'), /tun[ab]/u, 'no interface is left')
  })
}

t.test('SIGTERM while a name is looked up, and no resolver answers', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const resolver = addresses.b.veth.replace(/\d+$/u, '99')
  // Its packets reach the wire, and nobody.
  network.a.command(['ip', 'neighbour', 'add', resolver, 'lladdr', '02:00:00:00:00:99', 'dev', network.vethA])
  writeFileSync(join(folder, 'resolv.conf'), `nameserver ${resolver}\noptions timeout:10\n`)
  const script = `mount --bind ${folder}/resolv.conf /etc/resolv.conf && exec "$@"`
  const command = commandLine('client', { remote: 'tunnel.example:4567' })
  const child = network.a.run(['unshare', '--mount', 'sh', '-c', script, 'sh', ...command], {
    name: 'client',
    seconds: 60,
  })
  endWith(t, child)
  // A socket of the look-up.
  const asks = () => child.net('udp').includes(`${hex(resolver)}:0035`)
  await child.until(asks, 'a look-up')
  child.process.kill('SIGTERM')
  const start = performance.now()
  t.equal(await child.ended, 0)
  t.ok(performance.now() - start < 2_000, `gone after ${(performance.now() - start).toFixed()} ms`)
})

/** Runs `fake-tcp demo` as a user would. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { unavailable } from '../../src/lab/enter.js'
import * as checksum from '../../src/wire/checksum.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as tcp from '../../src/wire/tcp.js'
import { type CapturedPacket, readPcap } from './read-pcap.js'

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
const tun = '/dev/net/tun'

/** Why no demo can run here. */
const obstacle = (): string | false => {
  if (spawnSync('sh', ['-c', `: <>${tun}`]).status !== 0) return `${tun} cannot be opened`
  return unavailable() ?? false
}

const skip = obstacle()
if (skip) t.comment(`skipped: ${skip}`)

/** A demo whose temporary files, and all of whose processes, can be told from others'. */
const start = (t: Test, ...options: string[]) => {
  const directory = t.testdir({ tmp: {} })
  const tmp = join(directory, 'tmp')
  const child = spawn(process.execPath, [main, 'demo', ...options], {
    cwd: directory,
    env: { ...process.env, TMPDIR: tmp },
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', part => {
      text[name] += part
    })
  }
  const ended = once(child, 'close') as Promise<[number | null, string | null]>
  return { child, directory, tmp, text, ended }
}
type Run = ReturnType<typeof start>

/** Command lines of the demo's processes, all generations. */
const processes = (run: Run): string[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TMPDIR=${run.tmp}\0`)) return []
        return [readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()]
      } catch {
        return []
      }
    })
    // A zombie has none.
    .filter(command => command !== '')

const until = async (holds: () => boolean, what: string, seconds = 10): Promise<void> => {
  const end = performance.now() + seconds * 1_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`)
    await sleep(10)
  }
}

const nothingLeft = (t: Test, run: Run): void => {
  t.strictSame(processes(run), [], 'no process is left')
  t.strictSame(readdirSync(run.tmp), [], 'no temporary file is left')
}

const checksumHolds = ({ bytes, length }: CapturedPacket): boolean => {
  const tcpAt = ipv4.headerLength(bytes, 0)
  const pseudo = checksum.pseudo4(bytes, ipv4.Offset.source, ipv4.Offset.destination, length - tcpAt)
  return tcp.checksumValid(bytes, tcpAt, length, pseudo)
}

/** A clean connection: only TCP over IPv4, opened by three segments, ended by a RST, no byte missing or twice. */
const checkCapture = (t: Test, file: string, fileBytes: number): void => {
  const { linkType, packets } = readPcap(readFileSync(file))
  t.equal(linkType, 101)
  const next = new Map<number, number>()
  let bytes = 0
  let [strange, discontinuous, wrongSums] = [0, 0, 0]
  const flags: number[] = []
  for (const packet of packets) {
    const { bytes: b, length } = packet
    if (ipv4.version(b, 0) !== 4 || ipv4.protocol(b, 0) !== 6 || ipv4.totalLength(b, 0) !== length) strange++
    if (length === b.length && !checksumHolds(packet)) wrongSums++
    const at = ipv4.headerLength(b, 0)
    const payload = length - at - tcp.dataOffset(b, at)
    const source = ipv4.source(b, 0)
    const opens = (tcp.flags(b, at) & tcp.Flag.syn) !== 0
    if (!opens && tcp.seq(b, at) !== next.get(source)) discontinuous++
    flags.push(tcp.flags(b, at))
    next.set(source, (tcp.seq(b, at) + payload + (opens ? 1 : 0)) >>> 0)
    bytes += payload
  }
  const { syn, ack, rst } = tcp.Flag
  t.equal(strange, 0, 'only TCP over IPv4')
  t.equal(discontinuous, 0, 'each byte once, in order')
  t.equal(wrongSums, 0, 'what was captured whole has its checksum')
  t.strictSame(flags.slice(0, 3), [syn, syn | ack, ack], 'the handshake')
  t.equal(flags.at(-1), rst, 'the end')
  t.ok(flags.slice(3, -1).every(flag => flag === ack))
  t.ok(bytes > fileBytes, `${bytes} bytes of payload`)
}

const tshark = spawnSync('tshark', ['--version'], { stdio: 'ignore' }).status === 0

t.test('a transfer', { skip, timeout: 60_000 }, async t => {
  const run = start(t, '--size', '50')
  const began = performance.now()
  t.strictSame(await run.ended, [0, null], 'exit code')
  t.ok(performance.now() - began < 25_000, 'in time')
  t.equal(run.text.stderr, '')
  const { stdout } = run.text
  t.match(stdout, /^sent {11}50\.0 MB in [\d,]+ datagrams of 64 to 1,400 bytes$/m)
  t.match(stdout, /^throughput {5}\d+ MB\/s, \d+\.\d\d Gb\/s, [\d,]+ datagrams\/s/m)
  t.match(stdout, /^lost +[\d,]+ datagrams \(\d\.\d{3} %\), [\d,]+ resent by the demo$/m)
  t.match(stdout, /^round trip +p50 \d+\.\d{3} ms, p99 \d+\.\d{3} ms \(/m)
  t.match(stdout, /^super-packets +\d+\.\d datagrams each/m)
  t.match(stdout, /^SHA-256 +match, [0-9a-f]{64}$/m)
  t.notOk(stdout.includes('\r') || stdout.includes('█'), 'no progress line: this is no terminal')
  const file = join(run.directory, 'fake-tcp-demo.pcap')
  t.match(stdout, `capture        ${file} (`)
  checkCapture(t, file, 50_000_000)
  nothingLeft(t, run)

  t.test('as tshark sees it', { skip: !tshark && 'tshark is not installed' }, async t => {
    const noted = spawnSync('tshark', [
      '-r',
      file,
      '-Y',
      'tcp.analysis.flags || tcp.checksum.status == 0',
      '-o',
      'tcp.check_checksum:TRUE',
    ])
    t.equal(noted.status, 0)
    t.equal(noted.stdout.toString(), '', 'no lost segment, retransmission, duplicate ACK, full window')
  })
})

t.test('a file of the user, without capture', { skip, timeout: 60_000 }, async t => {
  const run = start(t, '--file', 'mine', '--no-capture')
  writeFileSync(join(run.directory, 'mine'), Buffer.alloc(1_234_567, 'some text'))
  t.strictSame(await run.ended, [0, null])
  t.match(run.text.stdout, /^sent +1\.2 MB/m)
  t.match(run.text.stdout, /^SHA-256 +match/m)
  t.notMatch(run.text.stdout, /^capture/m)
  t.strictSame(readdirSync(run.directory).sort(), ['mine', 'tmp'])
  nothingLeft(t, run)
})

/** Waits until the transfer goes on: everything that must be cleaned up is there. */
const underWay = (run: Run): Promise<void> =>
  until(() => processes(run).some(command => command.includes('/send.js')), 'a sender')

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(`${signal} ends it`, { skip, timeout: 60_000 }, async t => {
    const run = start(t, '--size', '400')
    await underWay(run)
    await sleep(200)
    const began = performance.now()
    run.child.kill(signal)
    t.strictSame(await run.ended, [code, null])
    t.ok(performance.now() - began < 4_000, 'quickly')
    t.match(run.text.stderr, /^fake-tcp: The demo was interrupted.*\n$/)
    nothingLeft(t, run)
    t.notOk(existsSync(join(run.directory, 'fake-tcp-demo.pcap')), 'no half capture')
  })
}

t.test('nothing outlives a demo that is killed', { skip, timeout: 60_000 }, async t => {
  const run = start(t, '--size', '400')
  await underWay(run)
  run.child.kill('SIGKILL')
  await until(() => processes(run).length === 0 && readdirSync(run.tmp).length === 0, 'cleaned up')
  t.pass('cleaned up')
})

t.test('when the tunnel breaks', { skip, timeout: 60_000 }, async t => {
  const run = start(t, '--size', '400')
  await underWay(run)
  const client = readdirSync('/proc').find(pid => {
    if (!/^\d+$/.test(pid)) return false
    try {
      const mine = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TMPDIR=${run.tmp}\0`)
      return mine && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\0client\0')
    } catch {
      return false
    }
  })
  process.kill(Number(client), 'SIGKILL')
  t.strictSame(await run.ended, [1, null])
  t.equal(run.text.stderr, 'fake-tcp: The client ended early (SIGKILL).\n')
  nothingLeft(t, run)
})

const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups']
const readable = spawnSync('setpriv', [...nobody, 'test', '-r', main]).status === 0
const closed = existsSync(tun) && (statSync(tun).mode & 0o006) !== 0o006

t.test(
  'a user who may not',
  { skip: !(readable && closed) && `${tun} is open to all, or this is not root` },
  async t => {
    const run = spawnSync('setpriv', [...nobody, process.execPath, main, 'demo', '--no-capture'], { encoding: 'utf8' })
    t.equal(run.status, 1)
    t.equal(run.stdout, '')
    t.match(run.stderr, /^fake-tcp: This user may not open \/dev\/net\/tun: .*\.\n$/)
  },
)

t.test('arguments', async t => {
  for (const [options, sentence] of [
    [['--size', '0'], 'It must be from 1 to'],
    [['--file', '/nowhere/at-all'], 'cannot be read (ENOENT)'],
    [['--file', '/'], 'must be a regular file'],
    [['--capture', '/nowhere/at-all'], 'cannot be written (ENOENT)'],
  ] as const) {
    if (skip && options[0] !== '--size') continue
    const run = spawnSync(process.execPath, [main, 'demo', ...options], { encoding: 'utf8' })
    t.equal(run.status, 2)
    t.match(run.stderr, sentence)
    t.notMatch(run.stderr, /^ +at /m, 'no stack')
  }
})

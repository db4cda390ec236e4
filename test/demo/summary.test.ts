import t from 'tap'
import { progressLine, StatusLine } from '../../src/demo/progress.js'
import { matches, type Outcome, summary } from '../../src/demo/summary.js'

const outcome: Outcome = {
  sent: {
    bytes: 64_000_000,
    datagrams: 56_866,
    seconds: 0.25,
    lost: 12,
    resent: 13,
    control: 3,
    pings: 1_000,
    pongs: 999,
    p50: 0.25,
    p99: 1.5,
  },
  sha256: { sent: 'aa', received: 'aa' },
  damaged: 0,
  datagramsPerPacket: 6.44,
  capture: { packets: 11_000, gaps: 0, path: '/tmp/x.pcap' },
}

t.test('summary', async t => {
  t.ok(matches(outcome))
  t.strictSame(summary(outcome).split('\n'), [
    'sent           64.0 MB in 56,866 datagrams of 64 to 1,400 bytes',
    'throughput     256 MB/s, 2.05 Gb/s, 227,464 datagrams/s (0.25 s)',
    'lost           12 datagrams (0.021 %), 13 resent by the demo',
    'round trip     p50 0.250 ms, p99 1.500 ms (999 of 1,000 pings, idle tunnel)',
    'super-packets  6.4 datagrams each, on average',
    'SHA-256        match, aa',
    'capture        /tmp/x.pcap (11,000 TCP packets, no gap)',
  ])
})

t.test('summary of a bad day', async t => {
  const bad: Outcome = {
    ...outcome,
    sent: { ...outcome.sent, pongs: 0 },
    sha256: { sent: 'aa', received: 'bb' },
    damaged: 2,
    datagramsPerPacket: undefined,
    capture: undefined,
  }
  t.notOk(matches(bad))
  const text = summary(bad)
  t.match(text, 'DIFFERENT: sent aa, received bb')
  t.match(text, 'no ping came back')
  t.match(text, ', 2 damaged')
  t.notMatch(text, /super-packets|capture/)
})

t.test('progress', async t => {
  t.equal(
    progressLine(32_000_000, 64_000_000, 0.5),
    `${'█'.repeat(15)}${'░'.repeat(15)}  50 %  32.0 of 64.0 MB  64 MB/s`,
  )
  t.equal(progressLine(0, 64_000_000, 0), `${'░'.repeat(30)}   0 %  0.0 of 64.0 MB`)
  t.match(progressLine(70, 64, 1), ' 100 %')
})

const output = (properties: object): { stream: NodeJS.WriteStream; text: () => string } => {
  let text = ''
  const write = (part: string): void => {
    text += part
  }
  return { stream: { write, ...properties } as unknown as NodeJS.WriteStream, text: () => text }
}

t.test('a status line on a terminal', async t => {
  const { stream, text } = output({ isTTY: true, columns: 8 })
  const line = new StatusLine(stream)
  line.clear()
  line.show('first, too long')
  line.show('first, too long')
  line.show('second')
  line.clear()
  line.clear()
  t.equal(text(), '\r\u001b[Kfirst, \r\u001b[Ksecond\r\u001b[K')
})

t.test('no status line elsewhere', async t => {
  const { stream, text } = output({})
  const line = new StatusLine(stream)
  line.show('something')
  line.clear()
  t.equal(text(), '')
})

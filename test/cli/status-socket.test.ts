import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { healthCode } from '../../src/cli/status.js'
import { askStatus, type Found, offerStatus, type Status } from '../../src/cli/status-socket.js'

/** No process has so large a number. */
const stranger = 2 ** 22 + 7

const stats = {
  device: 'tuna',
  connections: 3,
  total: { traffic: {}, drops: {}, services: { traffic: {}, drops: {} } },
} as unknown as Status['stats']
const udp = { gro: true, segment: true }
const status: Status = { role: 'client', pid: process.pid, local: 'here', remote: 'there', uptime: 5, udp, stats }

const open = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
  const before = process.env.RUNTIME_DIRECTORY
  process.env.RUNTIME_DIRECTORY = folder
  t.teardown(() => {
    if (before === undefined) delete process.env.RUNTIME_DIRECTORY
    else process.env.RUNTIME_DIRECTORY = before
    rmSync(folder, { recursive: true })
  })
  return folder
}

const askFor = async (pid: number): Promise<Found | undefined> => (await askStatus()).find(found => found.pid === pid)

t.test('whoever asks may hang up', async t => {
  const folder = open(t)
  const withdraw = offerStatus(
    'client',
    () => status,
    reason => t.fail(reason),
  )
  t.same(await askFor(process.pid), { ...status, answering: true })
  for (let i = 0; i < 20; i++) {
    const asker = connect(join(folder, `client-${process.pid}.sock`))
    asker.on('error', () => {})
    asker.on('connect', () => asker.destroy())
    if (i % 2 === 0) asker.destroy()
  }
  t.same(await askFor(process.pid), { ...status, answering: true })
  withdraw()
  t.equal(await askFor(process.pid), undefined)
})

t.test('what is no status is no answer', async t => {
  const folder = open(t)
  let answer = ''
  const server = createServer(connection => {
    connection.on('error', () => {})
    connection.end(answer)
  }).listen(join(folder, `server-${stranger}.sock`))
  t.teardown(() => server.close())
  const silent = { role: 'server', pid: stranger, answering: false }
  const strange = { ...status, stats: { ...stats, total: { traffic: { packetsIn: '\u001b[2J' }, drops: {} } } }
  for (const text of ['', '{}', 'null', '[1', JSON.stringify(strange), 'x'.repeat(3 << 20)]) {
    answer = text
    t.same(await askFor(stranger), silent, text.slice(0, 40))
  }
  answer = JSON.stringify({ ...status, role: 'nobody', pid: 1 })
  t.match(await askFor(stranger), { role: 'server', pid: stranger, answering: true }, 'its name is that of its socket')
})

t.test('exit codes', async t => {
  const yes: Found = { ...status, answering: true }
  const no: Found = { role: 'server', pid: 1, answering: false }
  for (const [found, code] of [
    [[], 3],
    [[yes], 0],
    [[yes, yes], 0],
    [[yes, no], 1],
    [[no, no], 3],
  ] as const) {
    t.equal(healthCode(found), code)
  }
})

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { BroadcastChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { FarEnd } from '../../src/tunnel/far-end.js'
import type { NameNotice, NameRequest } from '../../src/tunnel/name-keeper.js'
import type { UdpAddress } from '../../src/udp/socket.js'
import { FakeContext } from '../support/service.js'

const address = (last: number): UdpAddress => ({ bytes: Uint8Array.of(192, 0, 2, last), zone: '' })
const timeout = { code: 'ERR_TIMEOUT', message: 'No answer.' }
const refused = { code: 'ERR_REFUSED', message: 'Refused.' }

/** The fields of every line too. */
class Context extends FakeContext {
  readonly fields: unknown[] = []

  override log(level: string, event: string, text: string, fields?: Record<string, unknown>): void {
    super.log(level, event, text)
    this.fields.push(fields)
  }
}

const open = (t: Test, channel?: string) => {
  const context = new Context()
  let changes = 0
  const remote = { port: 4567, addresses: [address(1), address(2)], ...(channel !== undefined && { channel }) }
  const farEnd = new FarEnd(context, remote, () => changes++)
  t.teardown(() => farEnd.close())
  return { context, farEnd, changes: () => changes }
}

t.test('where it is', async t => {
  const { farEnd } = open(t)
  t.equal(farEnd.port, 4567)
  t.strictSame(farEnd.addresses, [Uint8Array.of(192, 0, 2, 1), Uint8Array.of(192, 0, 2, 2)])
})

t.test('attempts that fail alike are said once, with what the first one tells', async t => {
  const { context, farEnd } = open(t)
  for (let i = 1; i <= 3; i++) farEnd.failed(timeout, { peer: i })
  t.strictSame(context.said, ['warn: No answer.'])
  t.strictSame(context.fields, [{ peer: 1, code: 'ERR_TIMEOUT', attempts: 1 }])
})

t.test('another way to fail is said, and counts on', async t => {
  const { context, farEnd } = open(t)
  for (const error of [timeout, timeout, refused, refused, timeout]) farEnd.failed(error, {})
  t.strictSame(context.said, ['warn: No answer.', 'warn: Refused.', 'warn: No answer.'])
  t.strictSame(
    context.fields.map(fields => (fields as { attempts: number }).attempts),
    [1, 3, 5],
  )
})

t.test('an answer ends a failure, and says how long it took since the first attempt', async t => {
  const { context, farEnd } = open(t)
  farEnd.answered()
  t.strictSame(context.said, [], 'nothing had failed')
  farEnd.failed(timeout, {})
  context.pass(4_000)
  farEnd.failed(refused, {})
  context.pass(3_400)
  context.said.length = context.fields.length = 0
  farEnd.answered()
  farEnd.answered()
  t.strictSame([context.said, context.fields], [['info: The server answers.'], [{ attempts: 2, seconds: 7 }]])
})

t.test('after an answer a failure begins anew', async t => {
  const { context, farEnd } = open(t)
  farEnd.failed(timeout, {})
  farEnd.answered()
  context.pass(60_000)
  context.said.length = context.fields.length = 0
  farEnd.failed(timeout, {})
  context.pass(1_000)
  farEnd.answered()
  t.strictSame(context.said, ['warn: No answer.', 'info: The server answers.'])
  t.strictSame(context.fields, [
    { code: 'ERR_TIMEOUT', attempts: 1 },
    { attempts: 1, seconds: 1 },
  ])
})

t.test('a failed attempt is a doubt about the name, and its new addresses come in a turn of the worker', async t => {
  const name = `far end ${randomUUID()}`
  const channel = new BroadcastChannel(name)
  t.teardown(() => channel.close())
  const requests: NameRequest[] = []
  const events = new EventTarget()
  channel.onmessage = message => {
    requests.push((message as { data: NameRequest }).data)
    events.dispatchEvent(new Event('request'))
  }
  const { context, farEnd, changes } = open(t, name)
  await once(events, 'request')
  t.strictSame(requests.splice(0), ['hello'])
  farEnd.failed(timeout, {})
  await once(events, 'request')
  t.strictSame(requests.splice(0), ['doubt'])

  channel.postMessage({ addresses: [address(7)] } satisfies NameNotice)
  while (farEnd.addresses.length !== 1) await new Promise(resolve => setImmediate(resolve))
  t.strictSame(farEnd.addresses, [Uint8Array.of(192, 0, 2, 7)])
  t.equal(changes(), 0, 'the worker has not had its turn')
  context.pass(0)
  t.equal(changes(), 1)
})

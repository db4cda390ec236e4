import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createVirtualLink, Stack } from '../../src/index.js'
import { text } from '../support/datagrams.js'
import { addresses } from '../support/stacks.js'
import { until } from '../support/until.js'

const descriptors = () => readdirSync('/proc/self/fd').length
const threads = () => readdirSync('/proc/self/task').length

/** Opens two stacks, uses them, and closes them. */
const live = async (queues: number) => {
  const [deviceA, deviceB] = createVirtualLink({ queues })
  const [a, b] = await Promise.all([Stack.open({ device: deviceA }), Stack.open({ device: deviceB })])
  const listener = b.listen(1)
  const [client, server] = await Promise.all([a.connect(addresses.b[4], 1), listener.accept()])
  client.send(Buffer.from('hello'))
  const heard = text(await server.recv())
  void a.connect('192.0.2.1', 1).catch(() => {})
  await Promise.all([a.close(), b.close()])
  return heard
}

t.test('opening and closing leaves nothing behind', async t => {
  for (let i = 0; i < 3; i++) await live(2)
  await until(() => threads() < 20, 'the workers end')
  const before = { descriptors: descriptors(), threads: threads() }
  for (let i = 0; i < 10; i++) t.equal(await live(1 + (i % 2)), 'hello')
  await until(
    () => descriptors() <= before.descriptors && threads() <= before.threads,
    `${descriptors()} descriptors and ${threads()} threads, before ${before.descriptors} and ${before.threads}`,
  )
  t.pass('20 stacks later')
})

t.test('closing again, and at the same time', async t => {
  const [deviceA, deviceB] = createVirtualLink()
  const [a, b] = await Promise.all([Stack.open({ device: deviceA }), Stack.open({ device: deviceB })])
  await Promise.all([a.close(), a.close(), b[Symbol.asyncDispose](), a[Symbol.asyncDispose]()])
  await a.close()
  await Promise.all([a.closed, b.closed])
  t.equal(a.stats().connections, 0, 'its counters can still be read')
  t.equal(a.device, 'virtual-a')
  deviceA.close()
})

t.test('await using', async t => {
  const [deviceA, deviceB] = createVirtualLink()
  const seen: Stack[] = []
  const use = async () => {
    await using a = await Stack.open({ device: deviceA })
    await using b = await Stack.open({ device: deviceB })
    await using listener = b.listen(1)
    await using client = await a.connect(addresses.b[4], 1)
    await using server = await listener.accept()
    server.send(Buffer.from('hello'))
    seen.push(a, b)
    return text(await client.recv())
  }
  t.equal(await use(), 'hello')
  for (const stack of seen) t.throws(() => stack.listen(2), { code: 'ERR_FAKE_TCP_CLOSED' })
})

t.test('a stack ends with its device', async t => {
  const logged: unknown[] = []
  const logger = { error: (_: unknown, message: string) => logged.push(message) } as never
  const [deviceA, deviceB] = createVirtualLink({ queues: 2 })
  const stack = await Stack.open({ device: deviceA, logger })
  const accepting = t.rejects(stack.listen(1).accept(), { code: 'ERR_FAKE_TCP_CLOSED' })
  deviceB.close()
  await stack.closed
  await accepting
  t.same(logged, ['The device virtual-a is gone: it was removed under the stack.'])
})

const run = (scenario: string, options: readonly string[] = []) =>
  new Promise<{ code: number | null; signal: string | null; out: string }>(resolve => {
    const file = fileURLToPath(new URL('lifecycle.scenarios.js', import.meta.url))
    const child = spawn(process.execPath, [...options, file, scenario], {
      timeout: 60_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (out += chunk))
    child.on('close', (code, signal) => resolve({ code, signal, out }))
  })

const done = { code: 0, signal: null }
for (const [scenario, expected] of [
  ['closed', { ...done, out: 'done\n' }],
  ['oneEnd', { ...done, out: 'done\n' }],
  ['connecting', { ...done, out: `${'ERR_FAKE_TCP_CLOSED\n'.repeat(20)}done\n` }],
  ['dying', { ...done, out: 'done\n' }],
  ['waiting', { ...done, out: 'ABORT_ERR\nABORT_ERR\ndone\n' }],
  ['failed', { ...done, out: `${'ERR_FAKE_TCP_INVALID_ARGUMENT\n'.repeat(3)}done\n` }],
  ['exit', { ...done, out: 'up\n' }],
  ['uncaught', { code: 1, signal: null, out: /Error: on purpose/ }],
  ['thread', { ...done, out: /terminated\n(.*\n)*closed\n(.*\n)*done\n$/ }],
] as const) {
  t.test(`a process ends by itself: ${scenario}`, { timeout: 90_000 }, async t => {
    t.match(await run(scenario), expected)
  })
}

t.test('a process with options of V8, which Node.js refuses where a worker lists them', async t => {
  t.match(await run('closed', ['--max-old-space-size=512', '--expose-gc']), { ...done, out: 'done\n' })
})

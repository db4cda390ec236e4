import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const index = fileURLToPath(new URL('../../src/index.js', import.meta.url))

/** A program with two stacks, a listener and a connection that it never closes. */
const program = (unref: string): string => `
  import { createVirtualLink, Stack } from ${JSON.stringify(index)}
  const [a, b] = createVirtualLink({ queues: 2 })
  const [client, server] = await Promise.all([Stack.open({ device: a }), Stack.open({ device: b, keepalive: { interval: 500, probes: 3 } })])
  const listener = server.listen(4567)
  const [socket] = await Promise.all([client.connect(server.address, 4567), listener.accept()])
  ${unref}
  socket.send(Buffer.from('hello'))
  console.log('done')`

const run = (unref: string) =>
  spawnSync(process.execPath, ['--input-type=module', '-e', program(unref)], { encoding: 'utf8', timeout: 20_000 })

t.test('stacks that were told so do not keep a process alive', async t => {
  const { status, signal, stdout, stderr } = run('client.unref(); server.unref()')
  t.strictSame({ status, signal, stdout, stderr }, { status: 0, signal: null, stdout: 'done\n', stderr: '' })
})

t.test('others do, also when it was taken back', async t => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program('client.unref(); server.unref().ref()')])
  const closed = once(child, 'close')
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
    // Long enough to end by itself, now that everything is done.
    setTimeout(() => child.kill('SIGKILL'), 1_000)
  })
  t.strictSame([...(await closed), stdout], [null, 'SIGKILL', 'done\n'])
})

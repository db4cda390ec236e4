import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'

const url = new URL('../../src/cli/signals.js', import.meta.url).href

/** A program that says what signals lead to. */
const code = `
  import { reactBy, takeSignals } from '${url}'
  takeSignals()
  if (process.argv[1] === 'later') reactBy({
    stop: signal => console.log('stop', signal),
    leave: () => { console.log('leave'); process.exit(7) },
    reload: () => console.log('reload'),
  })
  console.log('ready')
  setInterval(() => {}, 1_000)`

const start = async (t: Test, ...args: string[]) => {
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', code, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  })
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string)
  t.teardown(() => {
    child.kill('SIGKILL')
    return ended
  })
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', text => {
    said += text
  })
  const until = async (text: string): Promise<void> => {
    for (let i = 0; i < 500 && !said.includes(text); i++) await sleep(20)
    t.match(said, text)
  }
  await until('ready')
  return { child, ended, until, said: () => said.trim().split('\n').slice(1) }
}

t.test('before there is anything to close', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { child, ended } = await start(t)
    child.kill('SIGHUP')
    await sleep(50)
    child.kill(signal)
    t.equal(await ended, 0, signal)
  }
})

t.test('a second signal does not wait; a copy of the first one is no second one', async t => {
  const { child, ended, until, said } = await start(t, 'later')
  child.kill('SIGINT')
  child.kill('SIGTERM')
  await until('stop')
  await sleep(300)
  // Signals of the same terminal follow each other.
  child.kill('SIGHUP')
  child.kill('SIGTERM')
  t.equal(await ended, 7)
  t.same(
    said().filter(line => line !== 'reload'),
    [said()[0], 'leave'],
  )
})

t.test('SIGHUP without a terminal', async t => {
  const { child, until, said } = await start(t, 'later')
  child.kill('SIGHUP')
  await until('reload')
  t.same(said(), ['reload'])
})

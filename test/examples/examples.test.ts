/** The examples that need neither root nor a network, as programs: what they print is what their headers promise. */
import t, { type Test } from 'tap'
import { Child, stopAll } from '../../src/lab/child.js'
import { runInside } from '../support/inside.js'
import { example } from './run.js'

t.teardown(() => stopAll())

/** Runs one to its end. */
const printed = async (t: Test, name: string): Promise<string[]> => {
  const child = new Child(example(name), { name, seconds: 60 })
  t.equal(await child.ended, 0, 'ends by itself')
  t.equal(child.stderr, '')
  return child.stdout.trim().split('\n')
}

t.test('echo', async t => {
  t.same(await printed(t, 'echo'), [
    '192.168.201.2 port 4567, up to 1460 bytes a datagram',
    'one',
    'two',
    'three',
    '1000 of 1000 datagrams came back',
    "the server's end: reset",
  ])
})

t.test('service', async t => {
  t.same(await printed(t, 'service'), ['welcome', '50 of 50 datagrams came back', 'visit: 50 datagrams, reset'])
})

t.test('transfer', async t => {
  t.same(await printed(t, 'transfer'), [
    'the worker got "sent before the transfer"',
    'the worker got "sent after it"',
    'the worker has ended',
  ])
})

runInside(t, import.meta.url)

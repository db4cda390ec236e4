import t from 'tap'
import { Folded } from '../../src/tunnel/folded.js'
import { FakeContext } from './support.js'

t.test('a thousand times the same', async t => {
  const context = new FakeContext()
  const fields: unknown[] = []
  context.log = (_level: string, text: string, given?: object) => void fields.push([text, given])
  const folded = new Folded(context, 'warn')
  for (let i = 0; i < 1_000; i++) folded.say('again', { i })
  t.same(fields.splice(0), [['again', { i: 0 }]], 'said at once')
  context.clock += 9_999
  folded.settle()
  t.same(fields, [])
  context.clock += 1
  folded.settle()
  folded.settle()
  t.same(fields.splice(0), [['again', { i: 999, count: 999 }]], 'then with a count')
  context.clock += 60_000
  folded.settle()
  t.same(fields, [], 'nothing happened')
  folded.say('later')
  t.same(fields, [['later', {}]])
})

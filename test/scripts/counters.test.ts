import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = new URL('../../../', import.meta.url)
const script = fileURLToPath(new URL('scripts/counters.mjs', root))
const docs = fileURLToPath(new URL('docs/operations.md', root))

const run = (...words: string[]) => {
  const { status, stderr } = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' })
  return { status, said: stderr.trim() }
}

t.test('the counters in docs/operations.md are those of the code', async t => {
  t.same(run('--check'), { status: 0, said: '' })
})

t.test('what is old is noticed, and written anew', async t => {
  const text = readFileSync(docs, 'utf8')
  const copy = join(t.testdir({}), 'copy.md')
  writeFileSync(copy, text.replace(/\| `heldFull` \| datagrams \|.*\n/u, ''))
  t.match(run('--check', copy), { status: 1, said: /are old: npm run build:ts && node scripts\/counters\.mjs/u })
  t.same(run(copy), { status: 0, said: '' })
  t.equal(readFileSync(copy, 'utf8'), text)
  t.same(run('--check', copy), { status: 0, said: '' })
})

t.test('a file without the markers', async t => {
  const file = join(t.testdir({ 'file.md': '# Counters\n' }), 'file.md')
  t.match(run('--check', file), { status: 1, said: /has not the two lines/u })
  t.match(run(file), { status: 1, said: /has not the two lines/u })
})

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const script = fileURLToPath(new URL('../../../scripts/layers.mjs', import.meta.url))

/** What the check says of a tree with these files below src/. */
const check = (t: Test, files: Readonly<Record<string, string>>) => {
  const root = t.testdir({})
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, 'src', path)), { recursive: true })
    writeFileSync(join(root, 'src', path), text)
  }
  const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' })
  return { status, said: stderr.trim() }
}

const wire = { 'wire/ip.ts': 'export const version = 4\n' }

t.test('imports that go down, and within a folder', async t => {
  const files = {
    'path/a.ts': "import { version } from '../wire/ip.js'\nexport const a = version\n",
    'path/b.ts': "export type { A } from './a.js'\n",
  }
  t.same(check(t, { ...wire, ...files }), { status: 0, said: '' })
})

t.test('one that goes up, a type too', async t => {
  const engine = { 'engine/stack.ts': 'export interface Stack {}\n' }
  const files = { 'path/a.ts': "import type { Stack } from '../engine/stack.js'\nexport type A = Stack\n" }
  t.same(check(t, { ...engine, ...files }), {
    status: 1,
    said: 'path/a.ts imports engine/stack.ts, which is above it',
  })
})

t.test('one into a folder of the same layer', async t => {
  const files = {
    'sockets/socket.ts': 'export const socket = 1\n',
    'workers/worker.ts': "import {\n  socket,\n} from '../sockets/socket.js'\nexport const worker = socket\n",
  }
  t.match(check(t, files), { status: 1, said: /^workers\/worker\.ts imports sockets\/socket\.ts/u })
})

t.test('a circle', async t => {
  const files = {
    'path/a.ts': "import type { B } from './b.js'\nexport type A = B\n",
    'path/b.ts': "import type { C } from './c.js'\nexport type B = C\n",
    'path/c.ts': "const a = await import('./a.js')\nexport type C = typeof a\n",
  }
  t.match(check(t, files), { status: 1, said: 'a circle: path/a.ts → path/b.ts → path/c.ts → path/a.ts' })
})

t.test('a folder that has no layer', async t => {
  t.same(check(t, { 'new/a.ts': 'export {}\n' }), { status: 1, said: 'new/a.ts is in no layer' })
})

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const script = fileURLToPath(new URL('../../../scripts/native-results.mjs', import.meta.url))

/** What the check says of a tree whose only file has these statements. */
const check = (t: Test, ...statements: string[]) => {
  const root = t.testdir({ src: { 'a.ts': statements.join('\n') } })
  const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' })
  return { status, said: stderr.trim() }
}

t.test('results that are used, or left aside on purpose', async t => {
  const statements = ['const n = native.write(1)', 'if (native.read(1) < 0) stop()', 'void native.tunFilter(1, -1)']
  t.same(check(t, ...statements, 'native.close(fd)', 'this.#poller.remove(fd)'), { status: 0, said: '' })
})

t.test('results that nobody looks at', async t => {
  const said = (name: string, line: number) =>
    `src/a.ts:${line} leaves the result of ${name} aside: use it, or write void and why`
  t.same(check(t, 'native.write(1)', 'if (on) this.#poller.modify(', '  fd, 0)'), {
    status: 1,
    said: `${said('native.write', 1)}\n${said('this.#poller.modify', 2)}`,
  })
})

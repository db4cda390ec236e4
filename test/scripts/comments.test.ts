/** Comments are wrapped, which the formatter leaves to people. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const columns = 120

/** Lines that are too long and nothing but comment. The rows of a table cannot be wrapped. */
const tooLong = (text: string): number[] =>
  text.split('\n').flatMap((line, i) => {
    const comment = /^\s*(\/\/|\/\*|\*)\s*(.*)/u.exec(line)
    return comment !== null && line.length > columns && !comment[2].startsWith('|') ? [i + 1] : []
  })

t.test('no comment is wider than 120 columns', async t => {
  const found = ['src', 'native', 'bench'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ts|mjs|cc|h|c)$/u.test(name))
      .flatMap(name =>
        tooLong(readFileSync(join(root, folder, name), 'utf8')).map(line => `${folder}/${name}:${line}`),
      ),
  )
  t.strictSame(found, [])
})

t.test('what counts', async t => {
  const long = 'x'.repeat(columns)
  t.strictSame(tooLong(`const a = '${long}'\n  // ${long}\n/** ${long} */\n * | ${long} |\n * short`), [2, 3])
})

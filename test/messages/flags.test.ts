/** The library names options, not flags: who uses it has typed no command. The command line puts its flags in (`src/cli/in-flags.ts`). */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root, stringsOf } from './texts.js'

/** What people see on a command line, and the lab, which runs other programs. */
const programs = ['cli', 'demo', 'lab', 'terminal']
/** Flags of other programs: npm's, docker's, Node.js's. */
const foreign = [' --prefix ', '(--device /dev/net/tun)', '--input-type']

const named = (texts: readonly string[]): string[] =>
  texts.filter(text => /--[a-z]/u.test(foreign.reduce((rest, words) => rest.replaceAll(words, ''), text)))

t.test('no layer of the library names a flag', async t => {
  const files = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.name.endsWith('.ts'))
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => !programs.includes(path.slice(root.length).split('/')[1]))
  t.ok(files.length > 80)
  for (const path of files) t.same(named(stringsOf(path)), [], path.slice(root.length))
})

t.test('one that does is found', async t => {
  t.same(named(['leave --user out', '`npm --prefix x run`', 'a -- b']), ['leave --user out'])
  const flags = join(root, 'src/cli/flags.ts')
  t.ok(named(stringsOf(flags)).length > 10)
})

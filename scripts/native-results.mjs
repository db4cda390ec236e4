// Results of the addon are lengths or -errno, so one that nobody looks at is an error that nobody sees. This names every statement in
// src/ that is nothing but such a call. `void native.x(…)` says that the result is left aside on purpose; a comment says why.
// `node scripts/native-results.mjs [ROOT]`; npm run lint runs it.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** Whose calls are looked at: the addon itself, and pollers. */
const callees = /^(native|(this\.)?#?poller)$/u
/** Calls without a result that could tell anything: what they refuse, they throw. */
const tellNothing = new Set([
  'arenaClose',
  'close',
  'copy',
  'eventDrain',
  'eventRing',
  'exitAfter',
  'moveBatch',
  'ref',
  'remove',
  'unref',
])

const src = join(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)), 'src')
const faults = []
for (const name of readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))) {
  const source = ts.createSourceFile(name, readFileSync(join(src, name), 'utf8'), ts.ScriptTarget.Latest, true)
  const visit = node => {
    ts.forEachChild(node, visit)
    if (!ts.isExpressionStatement(node) || !ts.isCallExpression(node.expression)) return
    const { expression: callee } = node.expression
    if (!ts.isPropertyAccessExpression(callee) || !callees.test(callee.expression.getText())) return
    if (tellNothing.has(callee.name.text)) return
    const { line } = source.getLineAndCharacterOfPosition(node.getStart())
    faults.push(`src/${name}:${line + 1} leaves the result of ${callee.getText()} aside: use it, or write void and why`)
  }
  visit(source)
}
for (const fault of faults) console.error(fault)
process.exit(faults.length === 0 ? 0 : 1)

/**
 * Every code block (```ts) of README.md and docs/api.md: all of them compile against the declarations of the package, and those that use a
 * virtual link are complete programs, which print what the comment behind each `console.log(…)` says. A block that begins with
 * `// name.ts` is a file of that name, which the others of its document may load.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { Child, stopAll } from '../../src/lab/child.js'
import { root } from './run.js'

t.teardown(() => stopAll())

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')

interface Block {
  /** Of the document. */
  readonly line: number
  readonly name: string
  readonly code: string
}

const blocksOf = (document: string): Block[] =>
  [...document.matchAll(/^( *)```ts\n([\s\S]*?)^ *```$/gmu)].map(({ index, 1: indent, 2: text }) => {
    const line = document.slice(0, index).split('\n').length + 1
    const code = text.replaceAll(new RegExp(`^${indent}`, 'gmu'), '')
    return { line, name: /^\/\/ ([\w-]+)\.ts\n/u.exec(code)?.[1] ?? `line-${line}`, code }
  })

/** A project that has the package installed, with the blocks as its files. Goes with the test. */
const projectOf = (t: Test, blocks: readonly Block[]): string => {
  const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-api-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const [name, target] of [
    ['fake-tcp', root],
    ['@types/node', join(root, 'node_modules/@types/node')],
  ]) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(target, link)
  }
  const compilerOptions = {
    ...{ module: 'nodenext', target: 'es2022', lib: ['es2023', 'esnext.disposable'], types: ['node'] },
    ...{ strict: true, skipLibCheck: false, noUnusedLocals: true, outDir: 'out', rootDir: '.' },
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  for (const { name, code } of blocks) writeFileSync(join(folder, `${name}.ts`), code)
  return folder
}

const printedBy = (code: string): string[] =>
  [...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gmu)].map(([, expected]) => expected)

/** `programs`: how many of the blocks are at least run. */
const check = (document: string, programs: number): void => {
  t.test(document, async t => {
    const blocks = blocksOf(readFileSync(join(root, document), 'utf8'))
    const project = projectOf(t, blocks)
    const tsc = new Child([process.execPath, compiler, '-p', project], { name: 'tsc', seconds: 120 })
    const code = await tsc.ended
    const errors = tsc.stdout.replaceAll(/line-(\d+)\.ts\((\d+)/gu, (_, start, line) => {
      return `${basename(document)} line ${Number(start) + Number(line) - 1} (`
    })
    if (!t.equal(code, 0, errors.trim() || 'compiles')) return
    const runnable = blocks.filter(({ code }) => code.includes('createVirtualLink('))
    t.ok(runnable.length >= programs, `${runnable.length} programs among ${blocks.length} blocks`)
    for (const { line, name, code } of runnable) {
      const program = new Child([process.execPath, join(project, 'out', `${name}.js`)], { name, seconds: 60 })
      t.equal(await program.ended, 0, `line ${line} ends by itself`)
      t.equal(program.stderr, '')
      const expected = printedBy(code)
      t.ok(expected.length > 0, 'it says what it prints')
      t.same(program.stdout.split('\n').slice(0, -1), expected)
    }
  })
}

check('README.md', 1)
check('docs/api.md', 4)

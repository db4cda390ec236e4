/** The package as installers leave it, and the examples of the library as they stand. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Scenario } from '../../checks/scenario.js'
import { root } from '../../programs.js'
import { type Seen, Stage } from '../stage.js'

/** The path below the package where Node.js finds the addon. */
const addonPlace = 'build/Release/fake_tcp.node'

/** Installs the package below `folder` without its addon. Its dependencies are a link to ours. */
const install = (folder: string): string => {
  const installed = join(folder, 'node_modules/fake-tcp')
  mkdirSync(installed, { recursive: true })
  cpSync(join(root, 'dist/src'), join(installed, 'dist/src'), { recursive: true })
  cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'))
  return installed
}

const ends = {
  client: ['client', '--local', '127.0.0.1:4500', '--remote', '127.0.0.1:4567'],
  server: ['server', '--local', '4567', '--remote', '127.0.0.1:4600'],
} as const

/** Checks what the programs of a package without a working addon say. Their sentence must match `words`. */
const judgeInstalled = async (
  stage: Stage,
  seen: Seen,
  { installed, words, few }: { installed: string; words: RegExp; few: boolean },
): Promise<void> => {
  const run = async (...args: readonly string[]) => {
    const main = [process.execPath, join(installed, 'dist/src/cli/main.js')]
    const child = stage.run(stage.network.a, [...main, ...args], { XDG_RUNTIME_DIR: stage.folder })
    return { code: await child.ended, stdout: child.stdout, stderr: child.stderr }
  }
  const command = `npm --prefix ${installed} run build:native`
  const runs = [run('--version'), run('doctor'), run(...ends.client), ...(few ? [] : [run(...ends.server)])]
  const [version, doctor, ...tunnels] = await Promise.all(runs)
  const isVersion = version.code === 0 && /^\d+\.\d+\.\d+\n$/u.test(version.stdout) && version.stderr === ''
  seen.add(`--version: ${version.code}`, isVersion)
  const told = doctor.stdout.includes(`FAIL  The addon of fake-tcp `) && doctor.stdout.includes(command)
  seen.add(`doctor: ${doctor.code}, says it`, told && doctor.code === 1 && doctor.stderr === '')
  for (const { code, stderr } of tunnels) {
    const isSentence = /^fake-tcp: [^\n]+\.\n$/u.test(stderr) && words.test(stderr) && stderr.includes(command)
    const text = stderr.trim().replaceAll(stage.folder, '…')
    seen.add(`tunnel: ${code}, "${text}"`, code === 1 && isSentence)
  }
}

/** The code block of README.md that contains these words. */
const exampleWith = (words: string): string => {
  const blocks = readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gmu)
  for (const [, code] of blocks) if (code.includes(words)) return code
  throw new Error(`README.md has no example with ${words}`)
}

/** The same code in JavaScript: its types are left out, and nothing else. */
const withoutTypes = async (code: string): Promise<string> => {
  const { default: ts } = await import('typescript')
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  return ts.transpileModule(code, { compilerOptions: options }).outputText
}

/** Writes a program that imports the package by its name. */
const write = (stage: Stage, name: string, code: string): string => {
  const folder = mkdtempSync(join(stage.folder, 'example-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/fake-tcp'))
  const path = join(folder, `${name}.mjs`)
  writeFileSync(path, code)
  return path
}

/**
 * A program with two stacks, a listener and a connection that nobody closes. A timer keeps it alive, as a test runner
 * does while it waits.
 */
const unclosed = (ending: string): string => `
  import { createVirtualLink, Stack } from 'fake-tcp'
  const [a, b] = createVirtualLink()
  const runner = setTimeout(() => {}, 60_000)
  const [client, server] = await Promise.all([Stack.open({ device: a }), Stack.open({ device: b })])
  client.unref()
  server.unref()
  const listener = server.listen(4567)
  const [socket] = await Promise.all([client.connect(server.address, 4567), listener.accept()])
  socket.send(Buffer.from('hello'))
  console.log('done')
  clearTimeout(runner)
  ${ending}`

/** The imports of a program in TypeScript. */
const consumer = `
  import { createVirtualLink, FakeTcpError, Stack, type StackOptions } from 'fake-tcp'
  const [device] = createVirtualLink()
  const options: StackOptions = { device, logger: console }
  await using stack = await Stack.open(options)
  try {
    const socket = await stack.connect('192.0.2.1', 4567, { signal: AbortSignal.timeout(1_000) })
    for await (const batch of socket.batches()) console.log(batch, stack.stats())
  } catch (error) {
    if (error instanceof FakeTcpError) console.log(error.code)
  }`

const types: Scenario = {
  name: 'types',
  what: "a TypeScript program that has neither Node.js's nor the logger's types and checks every declaration (`skipLibCheck: false`)",
  bar: 'compiles',
  phantun: false,
  long: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      install(stage.folder)
      writeFileSync(join(stage.folder, 'package.json'), '{ "type": "module" }')
      writeFileSync(join(stage.folder, 'main.ts'), consumer)
      const compilerOptions = {
        ...{ module: 'nodenext', target: 'es2022', lib: ['es2022', 'dom'] },
        ...{ strict: true, skipLibCheck: false, noEmit: true },
      }
      const project = join(stage.folder, 'tsconfig.json')
      writeFileSync(project, JSON.stringify({ compilerOptions, files: ['main.ts'] }))
      const compiler = [process.execPath, join(root, 'node_modules/typescript/bin/tsc')]
      const child = stage.run(stage.network.a, [...compiler, '-p', project])
      const code = await child.ended
      const errors = child.stdout.split('\n').filter(line => line.includes('error TS'))
      seen.add(
        `${errors.length} errors${errors.length > 0 ? `: ${errors[0].replaceAll(stage.folder, '…')}` : ''}`,
        code === 0,
      )
    }),
}

export const packages: readonly Scenario[] = [
  {
    name: 'addon-missing',
    what: 'the installer has run no scripts (pnpm, npm 12): the addon was not built, or it is for another machine',
    bar: 'one sentence names the command that helps; `--version` and `doctor` work',
    phantun: false,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const installed = install(stage.folder)
        await judgeInstalled(stage, seen, { installed, words: /was not built for this machine/u, few: context.short })
        if (context.short) return
        mkdirSync(join(installed, 'build/Release'), { recursive: true })
        writeFileSync(join(installed, addonPlace), 'for a machine of another kind')
        await judgeInstalled(stage, seen, { installed, words: /cannot be loaded on this machine/u, few: true })
        // Runs the command exactly as the sentence names it.
        for (const each of ['native', 'binding.gyp', 'scripts']) {
          cpSync(join(root, each), join(installed, each), { recursive: true })
        }
        const build = stage.run(stage.network.a, ['npm', '--prefix', installed, 'run', 'build:native'])
        seen.add(`the command: ${await build.ended}`, (await build.ended) === 0)
        const doctor = [process.execPath, join(installed, 'dist/src/cli/main.js'), 'doctor']
        const after = stage.run(stage.network.a, doctor)
        seen.add(`then doctor: ${await after.ended}`, (await after.ended) === 0)
      }),
  },
  {
    name: 'library-examples',
    what: "README's virtual-link example is run as it stands, and a program that fails before it closes its stacks (`unref`)",
    bar: 'both end by themselves, with what they should say',
    phantun: false,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const example = write(stage, 'example', await withoutTypes(exampleWith('createVirtualLink')))
        const cases: [what: string, path: string, wanted: number, says: string][] = [
          ['example', example, 0, 'hello\n'],
          ['left open', write(stage, 'open', unclosed('')), 0, 'done\n'],
          ['failed', write(stage, 'failed', unclosed('throw new Error("a test that fails")')), 1, 'done\n'],
        ]
        const judge = async ([what, path, wanted, says]: (typeof cases)[number]): Promise<void> => {
          const start = performance.now()
          const child = stage.run(stage.network.a, [process.execPath, path])
          const end = setTimeout(() => child.process.kill('SIGKILL'), 20_000)
          const code = await child.ended
          clearTimeout(end)
          const took = ((performance.now() - start) / 1_000).toFixed(1)
          const text = child.stdout.trim()
          seen.add(`${what}: "${text}", ${code} after ${took} s`, code === wanted && child.stdout === says)
        }
        for (const each of context.short ? cases.slice(0, 2) : cases) await judge(each)
      }),
  },
  types,
]

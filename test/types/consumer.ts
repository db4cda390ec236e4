import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { Child } from '../../src/lab/child.js'
import { root } from '../examples/run.js'

/** Seconds that no command here takes. */
const seconds = 240

/** A folder that goes with the test. */
export const folderFor = (t: Test, name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `fake-tcp-${name}-`))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

/** Runs a command to its end, and answers what it printed. Throws what it complained about. */
export const run = async (name: string, command: readonly string[]): Promise<string> => {
  const child = new Child(command, { name, seconds })
  const code = await child.ended
  if (code !== 0) throw new Error(`${name} ended with ${code}\n${child.stdout}${child.stderr}`)
  return child.stdout
}

/** How a consumer compiles. */
export interface Setting {
  readonly name: string
  /** Its files, of the folder `consumer`. */
  readonly files: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
  /** Packages that it has besides ours. */
  readonly packages: readonly string[]
}

const modules = ['main.mts', 'service.mts', 'dynamic.cts']

/** `requires`: whether the compiler knows that CommonJS can require ES modules (TypeScript 5.8). */
export const settingsFor = (requires: boolean): Setting[] => [
  {
    name: "with Node.js's types and pino",
    files: [...modules, 'pino.mts', ...(requires ? ['required.cts'] : [])],
    options: { module: 'nodenext', lib: ['es2022', 'esnext.disposable'], types: ['node'] },
    packages: ['@types/node', 'undici-types', 'pino'],
  },
  {
    name: "without Node.js's types",
    files: [...modules, ...(requires ? ['required.cts'] : [])],
    options: { module: 'nodenext', lib: ['es2022', 'dom', 'dom.asynciterable', 'esnext.disposable'] },
    packages: [],
  },
  {
    name: 'for a bundler',
    files: ['main.mts', 'service.mts'],
    options: {
      ...{ module: 'esnext', moduleResolution: 'bundler' },
      lib: ['es2022', 'dom', 'dom.asynciterable', 'esnext.disposable'],
    },
    packages: [],
  },
]

const link = (folder: string, name: string, target: string): void => {
  const path = join(folder, 'node_modules', name)
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(target, path)
}

/** The package as `npm pack` makes it, unpacked: its folder. Its dependencies are not there. */
export const pack = async (folder: string): Promise<string> => {
  await run('npm pack', ['npm', 'pack', root, '--ignore-scripts', '--silent', '--pack-destination', folder])
  await run('tar', ['sh', '-c', `cd '${folder}' && tar -xzf fake-tcp-*.tgz`])
  return join(folder, 'package')
}

/**
 * A project that has the packed package installed: its folder. Nothing of what the package depends on is there, so that its declarations must
 * do without.
 */
export const projectOf = (folder: string, packed: string, { files, options, packages }: Setting): string => {
  mkdirSync(folder, { recursive: true })
  cpSync(packed, join(folder, 'node_modules/fake-tcp'), { recursive: true })
  for (const name of packages) link(folder, name, join(root, 'node_modules', name))
  writeFileSync(join(folder, 'package.json'), '{}')
  for (const file of files) cpSync(join(root, 'test/types/consumer', file), join(folder, file))
  const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false }
  const compilerOptions = { target: 'es2022', ...strict, rootDir: '.', outDir: 'out', ...options }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  return folder
}

/** What `compiler` has against the project; empty when it compiles. */
export const complaints = async (compiler: string, project: string): Promise<string> => {
  const child = new Child([process.execPath, compiler, '-p', project], { name: 'tsc', seconds })
  const code = await child.ended
  return code === 0 ? '' : `${child.stdout}${child.stderr}` || `tsc ended with ${code}`
}

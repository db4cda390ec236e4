/** The packed package compiles in projects of every TypeScript that is still in use. They come from the registry of npm. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { complaints, folderFor, pack, projectOf, run, settingsFor } from './consumer.js'

t.teardown(() => stopAll())

const versions = ['5.6', '5.7', '5.8', '5.9', '6.0'] as const
const unreachable = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED/u

/** Installs all of them side by side; undefined where the registry cannot be reached. */
const installCompilers = async (t: Test, folder: string): Promise<string | undefined> => {
  mkdirSync(folder)
  const dependencies = Object.fromEntries(versions.map(version => [`ts-${version}`, `npm:typescript@~${version}.0`]))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries', '1']
  try {
    await run('npm install', ['npm', 'install', '--prefix', folder, ...flags])
    return folder
  } catch (error) {
    const { message } = error as Error
    if (!unreachable.test(message)) throw error
    t.comment(`skipped: the registry of npm cannot be reached (${unreachable.exec(message)?.[0]})`)
    return undefined
  }
}

t.test('every TypeScript', async t => {
  const folder = folderFor(t, 'types')
  const [packed, compilers] = await Promise.all([pack(folder), installCompilers(t, join(folder, 'compilers'))])
  if (compilers === undefined) {
    t.pass('no compilers', { skip: 'the registry of npm cannot be reached' })
    return
  }
  for (const version of versions) {
    const compiler = join(compilers, 'node_modules', `ts-${version}`, 'bin/tsc')
    t.match(await run('tsc', [process.execPath, compiler, '--version']), `Version ${version}.`)
    for (const setting of settingsFor(version >= '5.8')) {
      const project = projectOf(join(folder, version, setting.name), packed, setting)
      t.equal(await complaints(compiler, project), '', `${version}, ${setting.name}`)
    }
  }
})

/**
 * A project that has nothing but the packed package compiles with every declaration checked, and its CommonJS programs run. This is for the
 * compiler that the package is built with; `types.long.test.ts` has the others, and bundlers.
 */
import { symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { root } from '../examples/run.js'
import { complaints, folderFor, pack, projectOf, run, settingsFor } from './consumer.js'

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')
t.teardown(() => stopAll())

t.test('the packed package', async t => {
  const folder = folderFor(t, 'types')
  const packed = await pack(folder)
  const settings = settingsFor(true).slice(0, 2)
  const projects = settings.map(setting => projectOf(join(folder, setting.name), packed, setting))
  for (const [i, { name }] of settings.entries()) t.equal(await complaints(compiler, projects[i]), '', name)
  // Now with what it needs to run: the addon, and its dependencies.
  const installed = join(projects[0], 'node_modules/fake-tcp')
  for (const name of ['build', 'node_modules']) symlinkSync(join(root, name), join(installed, name))
  const out = join(projects[0], 'out')
  t.equal(await run('dynamic', [process.execPath, join(out, 'dynamic.cjs')]), '3\n', 'CommonJS imports it')
  t.equal(
    await run('required', [process.execPath, join(out, 'required.cjs')]),
    'function function ERR_FAKE_TCP_CLOSED\n',
    'CommonJS requires it',
  )
})

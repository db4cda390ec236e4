// Builds build/Release/fake_tcp.node with node-gyp, without a download when Node.js brought its headers along.
// `--asan` adds the address and undefined-behaviour sanitizers, `--coverage` counters for the fuzzer (needs clang).
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const fail = message => {
  console.error(message)
  process.exit(1)
}

const runs = command => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
const need = (what, commands, install) => {
  if (!commands.some(runs)) fail(`fake-tcp needs ${what} to build its addon: ${install}.`)
}

/** node-gyp of this package, or the one that npm brings for packages that do not have it. */
const findGyp = () => {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
  } catch {
    return process.env.npm_config_node_gyp ?? fail('fake-tcp needs node-gyp to build its addon: npm install node-gyp.')
  }
}

const everything = 'apt-get install g++ make python3'
// $CXX may carry options or a launcher, as in `ccache g++`.
const compilers = process.env.CXX ? [process.env.CXX.trim().split(/\s+/)[0]] : ['c++', 'g++', 'clang++']
need('a C++ compiler', compilers, `install g++ (Debian: ${everything})`)
need('make', ['make'], `install make (Debian: ${everything})`)
need('Python 3', ['python3'], `install python3 (Debian: ${everything})`)

const prefix = dirname(dirname(process.execPath))
const args = [findGyp(), 'rebuild', '--silent']
if (existsSync(join(prefix, 'include/node/node_api.h'))) args.push(`--nodedir=${prefix}`)
if (process.argv.includes('--asan')) {
  args.push('--', '-Dsanitize=1', `-Dfuzz=${process.argv.includes('--coverage') ? 1 : 0}`)
}

const cwd = fileURLToPath(new URL('..', import.meta.url))
const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
if (status !== 0) fail(`${stdout}${stderr}\nfake-tcp: the addon could not be built, see above.`)

// `npm run fuzz -- [--seconds 60] [--seed N] [--save]`: fuzzes the inbound path with the addon under the address and undefined-behaviour
// sanitizers. Needs clang (Debian: apt-get install clang); that addon stays in .fuzz/, the usual one is not touched.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, '.fuzz')
const addon = join(folder, 'build/Release/fake_tcp.node')
const require = createRequire(import.meta.url)

const run = (command, args, options = {}) => {
  const { status, signal } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options })
  if (status !== 0) {
    if (signal !== null) console.error(`fuzz: ended by ${signal}`)
    process.exit(status ?? 1)
  }
}

const runtime = spawnSync('clang', ['-print-file-name=libclang_rt.asan-x86_64.so'], { encoding: 'utf8' })
const library = runtime.stdout?.trim() ?? ''
if (runtime.error || !existsSync(library)) {
  console.error('fuzz: needs clang and its sanitizers (Debian: apt-get install clang).')
  process.exit(1)
}

const newest = Math.max(...readdirSync(join(root, 'native')).map(file => statSync(join(root, 'native', file)).mtimeMs))
if (!existsSync(addon) || statSync(addon).mtimeMs < newest) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const part of ['native', 'scripts', 'binding.gyp', 'package.json']) {
    cpSync(join(root, part), join(folder, part), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const env = { ...process.env, CC: 'clang', CXX: 'clang++' }
  run(process.execPath, ['scripts/build-native.mjs', '--asan', '--coverage'], { cwd: folder, env })
}
run(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', 'tsconfig.json'])
// node-gyp-build looks there first. What V8 itself never frees is no leak of ours.
run(process.execPath, ['dist/test/fuzz/main.js', ...process.argv.slice(2)], {
  env: { ...process.env, FAKE_TCP_PREBUILD: folder, LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0' },
})

/**
 * Builds what the benchmarks compare with, and the load tools in C, into the ignored folder `.peers/`:
 *
 *   .peers/bin/pump                              bench/peers/pump/pump.c: the kernel's limit
 *   .peers/bin/udp-plain                         bench/load/udp-plain.c: one datagram per system call
 *   .peers/phantun/bin/client, server            `phantun` 0.8.1 from crates.io
 *   .peers/crate/release/fake-tcp-crate-peer     bench/peers/crate on `fake-tcp` 0.7.1 from crates.io
 *
 * What is already there and newer than its source stays. Exit code 3, with one sentence, when a compiler is missing:
 * what it would have built shows as absent. Other failures exit with 1.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const EXIT_ABSENT = 3
const PHANTUN = '0.8.1'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const peers = join(root, '.peers')

/** `rustup` puts cargo here, and a shell that was open at that time does not know. */
const environment = { ...process.env, PATH: `${process.env.PATH}:${join(homedir(), '.cargo/bin')}` }

const say = text => console.error(`peers: ${text}`)

const run = (command, args, extra = {}) => {
  // Compilers talk on stdout too; ours belongs to results.
  const result = spawnSync(command, args, { stdio: ['ignore', 2, 2], env: { ...environment, ...extra } })
  if (result.error) throw result.error
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}`)
}

const found = command => spawnSync(command, ['--version'], { stdio: 'ignore', env: environment }).status === 0

const fresh = (target, sources) =>
  existsSync(target) && sources.every(source => statSync(source).mtimeMs <= statSync(target).mtimeMs)

const compileC = (target, source) => {
  mkdirSync(dirname(target), { recursive: true })
  run('cc', ['-O2', '-Wall', '-Wextra', '-o', target, source])
}

const phantunHome = join(peers, 'phantun')
const crateProject = join(here, 'crate')

/** name: shown; tool: what builds it; built: whether that is done. */
const builds = [
  ...[
    ['pump', join(here, 'pump/pump.c')],
    ['udp-plain', join(here, '../load/udp-plain.c')],
  ].map(([name, source]) => {
    const target = join(peers, 'bin', name)
    return { name, tool: 'cc', built: () => fresh(target, [source]), build: () => compileC(target, source) }
  }),
  {
    name: `phantun ${PHANTUN}`,
    tool: 'cargo',
    built: () => ['client', 'server'].every(program => existsSync(join(phantunHome, 'bin', program))),
    build: () => {
      const scratch = join(phantunHome, 'target')
      run('cargo', ['install', 'phantun', '--version', PHANTUN, '--root', phantunHome], { CARGO_TARGET_DIR: scratch })
      rmSync(scratch, { recursive: true, force: true })
    },
  },
  {
    name: 'the crate peer (fake-tcp 0.7.1)',
    tool: 'cargo',
    built: () =>
      fresh(
        join(peers, 'crate/release/fake-tcp-crate-peer'),
        ['Cargo.toml', 'src/main.rs'].map(name => join(crateProject, name)),
      ),
    build: () =>
      run('cargo', ['build', '--release', '--manifest-path', join(crateProject, 'Cargo.toml')], {
        CARGO_TARGET_DIR: join(peers, 'crate'),
      }),
  },
]

/** Builds everything that can be built. Sentences about what could not: for want of a tool, and for other reasons. */
export const install = () => {
  const absent = []
  const failed = []
  for (const { name, tool, built, build } of builds) {
    if (built()) continue
    if (!found(tool)) {
      absent.push(`${tool} is not installed: ${name} is absent.`)
      continue
    }
    say(`building ${name}`)
    try {
      build()
    } catch (error) {
      failed.push(`${name} could not be built: ${error.message}.`)
    }
  }
  return { absent, failed }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { absent, failed } = install()
  for (const sentence of [...absent, ...failed]) console.error(sentence)
  if (failed.length > 0) process.exitCode = 1
  else if (absent.length > 0) process.exitCode = EXIT_ABSENT
  else say('all built')
}

/**
 * Builds what the benchmarks compare with, and the load tools in C, into the ignored folder `.peers/`:
 *
 *     .peers/bin/pump                            bench/peers/pump/pump.c: the kernel's limit
 *     .peers/bin/udp-plain, udp-latency,
 *                udp-duplex, tcp-flood           bench/load: load tools
 *     .peers/shim.so                             bench/field/shim.c: a kernel behaves like an older or a broken one
 *     .peers/phantun/bin/client, server          `phantun` 0.8.1 (cargo)
 *     .peers/crate/release/fake-tcp-crate-peer   bench/peers/crate on `fake-tcp` 0.7.1 (cargo)
 *     .peers/bin/tcpraw-peer                     bench/peers/tcpraw on `github.com/xtaci/tcpraw` (the Go module proxy)
 *     .peers/absent.json                         why something is missing
 *
 * What is there already and newer than its source stays. When a compiler is missing, it ends with code 3 and one
 * sentence, and what that compiler would have built shows as absent. Other failures end with code 1.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const EXIT_ABSENT = 3
const PHANTUN = '0.8.1'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const peers = join(root, '.peers')

/** `rustup` puts cargo here. A shell that was open at that time does not know it. */
const environment = { ...process.env, PATH: `${process.env.PATH}:${join(homedir(), '.cargo/bin')}` }

const say = text => console.error(`peers: ${text}`)

const run = (command, args, extra = {}) => {
  // Compilers write to stdout too, which belongs to results, so it goes to stderr.
  const result = spawnSync(command, args, { stdio: ['ignore', 2, 2], env: { ...environment, ...extra } })
  if (result.error) throw result.error
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}`)
}

/** `go` has no --version. */
const found = command =>
  spawnSync(command, [command === 'go' ? 'version' : '--version'], { stdio: 'ignore', env: environment }).status === 0

const fresh = (target, sources) =>
  existsSync(target) && sources.every(source => statSync(source).mtimeMs <= statSync(target).mtimeMs)

const compileC = (target, source, ...flags) => {
  mkdirSync(dirname(target), { recursive: true })
  run('cc', ['-O2', '-Wall', '-Wextra', ...flags, '-o', target, source])
}

const phantunHome = join(peers, 'phantun')
const crateProject = join(here, 'crate')
const tcprawProject = join(here, 'tcpraw')
const load = join(here, '../load')
const shim = join(peers, 'shim.so')
const shimSource = join(here, '../field/shim.c')

/** `name` is shown, `tool` builds it, `targets` are the files that it makes, `built` says whether they are there. */
const builds = [
  ...[
    ['pump', join(here, 'pump/pump.c')],
    ['udp-plain', join(load, 'udp-plain.c')],
    ['tcp-flood', join(load, 'tcp-flood.c')],
    ['udp-latency', join(load, 'udp-latency.c')],
    ['udp-duplex', join(load, 'udp-duplex.c')],
  ].map(([name, source]) => {
    const target = join(peers, 'bin', name)
    const built = () => fresh(target, [source, join(load, 'load.h')])
    return { name, tool: 'cc', targets: [target], built, build: () => compileC(target, source, '-pthread') }
  }),
  {
    name: 'shim',
    tool: 'cc',
    targets: [shim],
    built: () => fresh(shim, [shimSource]),
    build: () => compileC(shim, shimSource, '-shared', '-fPIC', '-ldl'),
  },
  {
    name: `phantun ${PHANTUN}`,
    tool: 'cargo',
    targets: ['client', 'server'].map(program => join(phantunHome, 'bin', program)),
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
    targets: [join(peers, 'crate/release/fake-tcp-crate-peer')],
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
  {
    name: 'the tcpraw peer',
    tool: 'go',
    targets: [join(peers, 'bin/tcpraw-peer')],
    built: () =>
      fresh(
        join(peers, 'bin/tcpraw-peer'),
        ['go.mod', 'main.go'].map(name => join(tcprawProject, name)),
      ),
    build: () => {
      // The build runs in a copy, since `go mod tidy` writes go.sum.
      const copy = join(peers, 'tcpraw')
      cpSync(tcprawProject, copy, { recursive: true })
      run('go', ['-C', copy, 'mod', 'tidy'])
      run('go', ['-C', copy, 'build', '-o', join(peers, 'bin/tcpraw-peer'), '.'])
    },
  },
]

/**
 * Builds everything that can be built. Answers sentences about the rest: what lacks a tool, and what failed for other
 * reasons.
 */
export const install = () => {
  const absent = []
  const failed = []
  const reasons = {}
  for (const { name, tool, targets, built, build } of builds) {
    if (built()) continue
    let reason
    if (!found(tool)) {
      reason = `${tool} is not installed: ${name} is absent.`
      absent.push(reason)
    } else {
      say(`building ${name}`)
      try {
        build()
      } catch (error) {
        reason = `${name} could not be built: ${error.message}.`
        failed.push(reason)
      }
    }
    if (reason !== undefined) for (const target of targets) reasons[relative(root, target)] = reason
  }
  mkdirSync(peers, { recursive: true })
  writeFileSync(join(peers, 'absent.json'), JSON.stringify(reasons))
  return { absent, failed }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { absent, failed } = install()
  for (const sentence of [...absent, ...failed]) console.error(sentence)
  if (failed.length > 0) process.exitCode = 1
  else if (absent.length > 0) process.exitCode = EXIT_ABSENT
  else say('all built')
}

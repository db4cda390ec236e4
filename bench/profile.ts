/**
 * Where the processor time of our programs goes. Each run is recorded with `perf record`, and its samples are sorted
 * into a few kinds of work.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Network, unavailable } from '../src/lab/network.js'
import { CurrentNetwork } from './current-network.js'
import type { Step } from './plan.js'
import { root } from './programs.js'
import { kinds, PROFILE, type Profile } from './report/profile.js'
import { write } from './results.js'

const HERTZ = 499
/** Programs whose samples count, by a word of their command line. */
const parts = [
  ['client', 'src/cli/main.js client'],
  ['server', 'src/cli/main.js server'],
  ['sender', 'ours-send.js'],
  ['receiver', 'ours-recv.js'],
] as const

/** The first kind that fits, in this order. `symbol` and `object` (program or library) are perf's names. */
const kindOf = (symbol: string, object: string): (typeof kinds)[number] => {
  const kernel = object.includes('kernel') || object.includes('.ko') || /^\[/u.test(object)
  if (kernel) {
    if (/copy|csum|memcpy|memset|clear_page/u.test(symbol)) return 'copying, checksums (kernel)'
    if (/finish_task_switch|schedule|try_to_wake|spin_unlock_irq|ttwu|futex|ep_poll|epoll|eventfd|idle/u.test(symbol)) {
      return 'waking, switching threads'
    }
    return 'system calls, network path (kernel)'
  }
  if (/fake_tcp/u.test(object)) return 'addon'
  if (/memmove|memcpy|memset/u.test(symbol)) return 'addon'
  if (/anon|\[unknown\]|perf-|jit/iu.test(object) || /^Builtins_/u.test(symbol)) return 'JavaScript'
  if (/Scaveng|MarkCompact|Marking|Sweep|GarbageCollect/u.test(symbol)) return 'garbage collection'
  return 'Node.js, V8, libuv, libc'
}

/** Our programs that run now: process id → part. */
const running = (): Map<string, string> => {
  const found = new Map<string, string>()
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/u.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
      const part = parts.find(([, word]) => command.includes(word) && !command.startsWith('setpriv'))
      if (part !== undefined) found.set(pid, part[0])
    } catch {
      // The process has ended meanwhile.
    }
  }
  return found
}

const profileOne = async (network: Network, { peer, scenario, shape }: Step, seconds: number): Promise<Profile> => {
  const directory = mkdtempSync(join(tmpdir(), 'fake-tcp-perf-'))
  const data = join(directory, 'data')
  try {
    const run = peer.run(network, seconds + 2)
    // Programs start and warm up within this time.
    await sleep(2500)
    const names = running()
    const record = ['record', '-q', '-a', '-F', String(HERTZ), '-o', data, '--', 'sleep', String(seconds)]
    await once(spawn('perf', record, { stdio: 'ignore' }), 'exit')
    const metrics = await run
    const { stdout } = spawnSync('perf', ['script', '-i', data, '-F', 'pid,ip,sym,dso'], {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    })
    const shares = new Map<string, Map<string, number>>()
    for (const line of stdout.split('\n')) {
      const match = /^\s*(\d+)\s+[0-9a-f]+\s+(.*?)\s+\((.*)\)\s*$/u.exec(line)
      const part = match === null ? undefined : names.get(match[1])
      if (match === null || part === undefined) continue
      const kind = kindOf(match[2], match[3])
      const counts = shares.get(part) ?? new Map<string, number>()
      shares.set(part, counts.set(kind, (counts.get(kind) ?? 0) + 1))
    }
    return {
      ...{ scenario: scenario.name, title: scenario.title, shape, peer: peer.name },
      datagramsPerSecond: metrics.datagramsPerSecond,
      parts: [...shares].map(([part, counts]) => {
        const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
        return {
          part,
          cpus: total / HERTZ / seconds,
          shares: kinds.map(kind => (100 * (counts.get(kind) ?? 0)) / total),
        }
      }),
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Profiles every step once, and says which ones cannot be profiled. */
export const profile = async (
  steps: readonly Step[],
  seconds: number,
  say: (text: string) => void,
): Promise<Profile[]> => {
  if (spawnSync('perf', ['--version']).status !== 0) {
    throw new Error('--profile needs perf (Debian: apt-get install linux-perf).')
  }
  const profiles: Profile[] = []
  const networks = new CurrentNetwork()
  try {
    for (const step of steps) {
      if ((step.peer.absent ?? unavailable(step.shape)) !== undefined) continue
      say(`profile: ${step.scenario.name} ${step.shape} ${step.peer.name}`)
      profiles.push(await profileOne(await networks.of(step.shape), step, seconds))
    }
  } finally {
    await networks.close()
  }
  write(root + PROFILE, `${JSON.stringify(profiles, undefined, 2)}\n`)
  return profiles
}

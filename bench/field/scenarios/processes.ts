/** The limits and the health of processes. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import type { Scenario } from '../../checks/scenario.js'
import { tuns } from '../../ends.js'
import { programs } from '../../programs.js'
import { type Instance, knocks } from '../life.js'
import { Stage } from '../stage.js'

/** Words that give a program a /run of its own, and a `fake-tcp status` that looks there. */
const machine = (stage: Stage) => {
  const run = join(stage.folder, 'run')
  mkdirSync(run)
  const before = stage.mounted(run, '/run')
  const env = { NODE_OPTIONS: '', RUNTIME_DIRECTORY: '', XDG_RUNTIME_DIR: '', TMPDIR: stage.folder }
  const ask = async (): Promise<{ code: number | string; found: Instance[] }> => {
    const status = stage.run(stage.network.a, [...before, ...programs.tunnel, 'status', '--json'], env)
    const code = await status.ended
    return { code, found: JSON.parse(status.stdout) as Instance[] }
  }
  return { before, env, ask }
}

export const processes: readonly Scenario[] = [
  {
    name: 'memory-limit',
    what: 'the address space is limited (`prlimit --as`): 1, 2 and 3 GiB, also with eight queues',
    bar: 'runs, or says in one sentence what is missing',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const gib = 1024 ** 3
        const only1: [gib: number, flags: readonly string[]][] = [[1, []]]
        const some: typeof only1 = [
          ...[1, 2, 3].flatMap(
            limit =>
              [
                [limit, []],
                [limit, ['--queues', '8']],
              ] as typeof only1,
          ),
          [6, ['--queues', '8']],
          // Does what the sentence advises.
          [1, ['--queues', '1', '--max-flows', '1000']],
        ]
        const cases = context.kind === 'phantun' || context.short ? only1 : some
        if (!context.short) {
          await stage.echo()
          await stage.start('server')
        }
        for (const [limit, flags] of cases) {
          const what = [`${limit} GiB`, ...flags].join(' ')
          const before = ['prlimit', `--as=${limit * gib}`]
          const client = stage.launch('client', { before, flags, env: { NODE_OPTIONS: '' } })
          const isReady = () => (context.kind === 'phantun' ? client.hasInterface(tuns.a) : client.times('ready') > 0)
          for (const end = performance.now() + 20_000; client.running && !isReady() && performance.now() < end; ) {
            await sleep(20)
          }
          if (isReady()) {
            const status = readFileSync(`/proc/${client.pid}/status`, 'latin1')
            const size = Number(/VmSize:\s+(\d+)/u.exec(status)?.[1]) / 1024
            seen.add(`${what}: runs with ${size.toFixed()} MiB of addresses`)
            if (!context.short) await knocks(stage, seen, 'and carries')
            await client.stop()
            continue
          }
          await client.stop()
          const code = await client.ended
          const sentence = /^fake-tcp: [^\n]*(?:memory|addresses)[^\n]*\.\n$/u.test(client.stderr)
          seen.add(`${what}: ${code}, "${client.stderr.trim().split('\n')[0]}"`, sentence && code === 1)
        }
      }),
  },
  {
    name: 'status-health',
    what: '`fake-tcp status` is the health check, and nothing runs, an instance is stuck, was killed, or runs as another user',
    bar: 'exit code 0, 1 or 3, and every instance is listed',
    phantun: false,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const { before, env, ask } = machine(stage)
        const judge = async (when: string, children: readonly Child[], wanted: number): Promise<void> => {
          const { code, found } = await ask()
          const all =
            found.length === children.length && children.every(({ pid }) => found.some(one => one.pid === pid))
          const answering = found.filter(one => one.answering).length
          seen.add(`${when}: ${code}, ${found.length} listed, ${answering} answer`, code === wanted && all)
        }
        await judge('nothing runs', [], 3)
        const client = await stage.start('client', { before, env, flags: ['--user', 'nobody'] })
        if (context.short) {
          client.process.kill('SIGSTOP')
          await judge('one as nobody, stuck', [client], 3)
          client.process.kill('SIGCONT')
          return
        }
        const server = await stage.start('server', { before, env })
        await judge('one as nobody and one as root', [client, server], 0)
        client.process.kill('SIGSTOP')
        await judge('one is stuck', [client, server], 1)
        server.process.kill('SIGSTOP')
        await judge('both are', [client, server], 3)
        for (const child of [client, server]) child.process.kill('SIGCONT')
        await judge('both go on', [client, server], 0)
        server.process.kill('SIGKILL')
        await server.ended
        await judge('one was killed', [client], 0)
        spawnSync('prlimit', ['--pid', String(client.pid), '--nofile=4:4'])
        const { code, found } = await ask()
        const listed = found.some(({ pid }) => pid === client.pid)
        seen.add(`without a free descriptor: ${code}, ${found.length} listed`, listed && (code === 0 || code === 3))
      }),
  },
]

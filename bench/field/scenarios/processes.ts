/** Processes: their signals, their limits, their health. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import type { Scenario } from '../../checks/scenario.js'
import { tuns } from '../../ends.js'
import { programs } from '../../programs.js'
import { type Instance, knocks, wayOut } from '../life.js'
import { type Role, type Seen, Stage, times } from '../stage.js'

/** Whether a process takes SIGHUP: the first thing that our code does. What comes before is Node.js itself. */
const takesSignals = ({ pid }: Child): boolean => {
  try {
    const caught = /^SigCgt:\s+(\S+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
    return (BigInt(`0x${caught}`) & 1n) !== 0n
  } catch {
    return false
  }
}

/** Starts one end, ends it so many milliseconds after its first line (undefined: after its exec), and says what remains. */
const endEarly = async (stage: Stage, seen: Seen, role: Role, delay: number | undefined): Promise<string> => {
  const ours = stage.kind === 'ours'
  // What others preload into Node.js takes signals too.
  const child = stage.launch(role, { env: { NODE_OPTIONS: '' } })
  if (ours && delay !== undefined) await child.until(() => takesSignals(child), 'its first line')
  await sleep(delay ?? 20)
  child.process.kill('SIGTERM')
  const start = performance.now()
  const code = await child.ended
  const took = performance.now() - start
  if (stage.hasTun(role)) seen.add(`the ${role}'s interface is left`, false)
  const stack = /\n\s+at |"level":[56]0/u.exec(child.stderr)
  if (stack !== null) seen.add(`${role} said: ${child.stderr.trim().split('\n').at(-1)}`, false)
  if (took > 4_000) seen.add(`${role}, ${delay} ms: gone only after ${took.toFixed()} ms`, false)
  if (ours && delay !== undefined && code !== 0) seen.add(`${role}, ${delay} ms: ${code}`, false)
  return String(code)
}

/** Names of the codes, each once, with their number. */
const tally = (codes: readonly string[]): string =>
  [...new Set(codes)].map(code => `${code}: ${codes.filter(other => other === code).length} times`).join(', ')

/** A /run of their own for programs that start with these words, and a `fake-tcp status` that looks there. */
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
    name: 'nohup',
    what: 'the client is started by nohup, its terminal goes away (SIGHUP)',
    bar: 'lives on, with its connections',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const { client, server } = await stage.tunnel({ client: { before: ['nohup'] } })
        const application = await stage.application()
        seen.add('first echo', (await application.knock()) !== undefined)
        for (let i = 0; i < 3; i++) {
          client.process.kill('SIGHUP')
          await sleep(50)
        }
        const again = await application.knock()
        seen.add(again === undefined ? 'after SIGHUP: nothing' : 'after SIGHUP: carries on', again !== undefined)
        if (context.kind === 'phantun') return
        await client.until(() => client.stderr.includes('nothing to reload'), 'a word about it')
        const connections = times(client, 'new UDP client')
        seen.add(`by ${connections === 1 ? 'the same connection' : `${connections} connections`}`, connections === 1)
        seen.add('says: "there is nothing to reload"')
        await wayOut(stage, seen, client)
        await server.until(() => server.stderr.includes('"connection closed"'), 'a word of its end')
        seen.add('the server is told')
      }),
  },
  {
    name: 'nohup-terminal',
    what: 'a shell on a terminal starts the client by `nohup … &`, and the terminal is closed',
    bar: 'lives on, with its connections',
    phantun: true,
    long: true,
    absent: () => (spawnSync('script', ['--version']).status === 0 ? undefined : 'the program script is missing'),
    run: context =>
      Stage.with(context, async (stage, seen) => {
        await stage.echo()
        await stage.start('server')
        const file = join(stage.folder, 'shell')
        const log = join(stage.folder, 'nohup.out')
        writeFileSync(
          file,
          `cd ${stage.folder}\nnohup ${stage.command('client').join(' ')} &\necho $! >client\nexec sleep 300\n`,
        )
        const words = ['script', '--quiet', '--command', `sh ${file}`, '/dev/null']
        const terminal = stage.run(stage.network.a, words)
        const isThere = () => stage.hasTun('client')
        await terminal.until(isThere, 'TUN device', 20)
        const pid = Number(readFileSync(join(stage.folder, 'client'), 'latin1'))
        stage.finally(() => {
          if (isThere()) process.kill(pid, 'SIGKILL')
        })
        await terminal.until(
          () => context.kind === 'phantun' || readFileSync(log, 'utf8').includes('client is ready'),
          'readiness',
        )
        const application = await stage.application()
        seen.add('first echo', (await application.knock()) !== undefined)
        terminal.process.kill('SIGKILL')
        await terminal.ended
        await sleep(500)
        const again = await application.knock()
        seen.add(again === undefined ? 'afterwards: nothing' : 'afterwards: carries on', again !== undefined)
        if (context.kind === 'phantun') return
        const connections = readFileSync(log, 'utf8').split('new UDP client').length - 1
        seen.add(`by ${connections === 1 ? 'the same connection' : `${connections} connections`}`, connections === 1)
      }),
  },
  {
    name: 'sigterm-early',
    what: 'SIGTERM comes in the first half second of a start',
    bar: 'ends with 0 from its first line on, and nothing is left',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const codes: string[] = []
        for (const delay of context.short ? [60] : [0, 20, 50, 100, 150, 200, 300, 500]) {
          const both = [endEarly(stage, seen, 'client', delay), endEarly(stage, seen, 'server', delay)]
          codes.push(...(await Promise.all(both)))
        }
        seen.add(`exit codes: ${tally(codes)}`)
        if (!context.short && context.kind === 'ours') {
          seen.add(`20 ms after its exec, still Node.js only: ${await endEarly(stage, seen, 'client', undefined)}`)
        }
        const left = readdirSync(stage.folder).filter(name => name.endsWith('.sock'))
        seen.add(`${left.length} sockets and no interface are left`, left.length === 0)
      }),
  },
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
          // What the sentence advises.
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
          const isReady = () =>
            context.kind === 'phantun' ? client.hasInterface(tuns.a) : client.stderr.includes('client is ready')
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

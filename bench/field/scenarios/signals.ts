/** Signals: a terminal that goes away, an end during the start. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { missingTool } from '../../../src/lab/tools.js'
import type { Scenario } from '../../checks/scenario.js'
import { wayOut } from '../life.js'
import { type Role, type Seen, Stage } from '../stage.js'

/**
 * Whether a process handles SIGHUP, which is the first thing that our code sets up. Until then only Node.js itself
 * runs.
 */
const takesSignals = ({ pid }: Child): boolean => {
  try {
    const caught = /^SigCgt:\s+(\S+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
    return (BigInt(`0x${caught}`) & 1n) !== 0n
  } catch {
    return false
  }
}

/**
 * Starts one end and ends it this many milliseconds after its first line, or after its exec when undefined. Says what
 * remains.
 */
const endEarly = async (stage: Stage, seen: Seen, role: Role, delay: number | undefined): Promise<string> => {
  const ours = stage.kind === 'ours'
  // Modules that others preload into Node.js may handle signals too, so they are left out.
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

/** Each exit code once, with how often it came. */
const tally = (codes: readonly string[]): string =>
  [...new Set(codes)].map(code => `${code}: ${codes.filter(other => other === code).length} times`).join(', ')

export const signals: readonly Scenario[] = [
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
        await client.until(() => client.times('nothing-to-reload') > 0, 'a word about it')
        const connections = client.times('source-new')
        seen.add(`by ${connections === 1 ? 'the same connection' : `${connections} connections`}`, connections === 1)
        seen.add('says: "there is nothing to reload"')
        await wayOut(stage, seen, client)
        await server.until(() => server.times('connection-closed') > 0, 'a word of its end')
        seen.add('the server is told')
      }),
  },
  {
    name: 'nohup-terminal',
    what: 'a shell on a terminal starts the client by `nohup … &`, and the terminal is closed',
    bar: 'lives on, with its connections',
    phantun: true,
    long: true,
    absent: () => missingTool('script', 'bsdutils'),
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
          () => context.kind === 'phantun' || readFileSync(log, 'utf8').includes('"event":"ready"'),
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
        seen.add(
          `exit codes: ${tally(codes)}`,
          codes.every(code => code === '0'),
        )
        if (!context.short && context.kind === 'ours') {
          seen.add(`20 ms after its exec, still Node.js only: ${await endEarly(stage, seen, 'client', undefined)}`)
        }
        const left = readdirSync(stage.folder).filter(name => name.endsWith('.sock'))
        seen.add(`${left.length} sockets and no interface are left`, left.length === 0)
      }),
  },
]

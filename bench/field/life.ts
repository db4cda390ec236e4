/** What many scenarios ask: whether a tunnel carries and answers, how it ends, and what it leaves behind. */
import { spawnSync } from 'node:child_process'
import type { Child } from '../../src/lab/child.js'
import { programs } from '../programs.js'
import { type Seen, type Stage, seconds } from './stage.js'

/** Opens a new connection and says what became of it. */
export const knocks = async (stage: Stage, seen: Seen, when: string): Promise<boolean> => {
  const came = await (await stage.application()).knock()
  seen.add(came === undefined ? `${when}: no echo` : `${when}: echo after ${seconds(came)}`, came !== undefined)
  return came !== undefined
}

export interface Instance {
  readonly pid: number
  readonly answering: boolean
}

/** Asks by `fake-tcp status`, which phantun does not have. */
export const answers = async (stage: Stage, seen: Seen, children: readonly Child[]): Promise<void> => {
  if (stage.kind === 'phantun') return
  const status = stage.run(stage.network.a, [...programs.tunnel, 'status', '--json'], {
    RUNTIME_DIRECTORY: stage.folder,
  })
  await status.ended
  const found = JSON.parse(status.stdout) as Instance[]
  const answering = children.filter(({ pid }) => found.some(one => one.pid === pid && one.answering)).length
  seen.add(`status: ${answering} of ${children.length} answer`, answering === children.length)
}

/**
 * Sends SIGTERM and looks how the program ends. Ours must end with code 0 within two seconds, and a little more on a
 * busy machine.
 */
export const wayOut = async (stage: Stage, seen: Seen, child: Child): Promise<void> => {
  child.process.kill('SIGTERM')
  const start = performance.now()
  const code = await child.ended
  const took = performance.now() - start
  const well = stage.kind === 'phantun' || code === 0
  seen.add(`SIGTERM: ${code} after ${seconds(took)}`, well && took < 4_000)
}

/** Runs a program until it ends, with whatever code. */
export const outcome = (command: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const [program, ...args] = command
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, ...env },
  })
  return { status, stdout, stderr }
}

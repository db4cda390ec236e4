/** Many applications beside one client. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Application, Seen, Stage } from './stage.js'
import { seconds } from './stage.js'

export const crowd = (stage: Stage, size: number, ...where: Parameters<Stage['application']>): Promise<Application[]> =>
  Promise.all(Array.from({ length: size }, () => stage.application(...where)))

export interface Served {
  readonly served: number
  /** Until the last one was. */
  readonly ms: number
}

/** Each of them asks ten times a second until it has an answer. */
export const ask = async (applications: readonly Application[], patienceMs = 10_000): Promise<Served> => {
  const word = `word ${Math.random()}`
  const start = performance.now()
  const passed = () => performance.now() - start
  let waiting = applications
  for (let next = 0; waiting.length > 0 && passed() < patienceMs; await sleep(10)) {
    waiting = waiting.filter(({ received }) => !received.includes(word))
    if (passed() < next) continue
    for (const application of waiting) application.send(word)
    next = passed() + 100
  }
  return { served: applications.length - waiting.length, ms: passed() }
}

/** Says whether all of them are served within `limitMs`. */
export const expectServed = async (
  seen: Seen,
  what: string,
  applications: readonly Application[],
  limitMs = 10_000,
): Promise<boolean> => {
  const { length } = applications
  const { served, ms } = await ask(applications, limitMs)
  const all = served === length
  seen.add(`${what}: ${all ? `after ${seconds(ms)}` : `${served} of ${length} within ${seconds(limitMs)}`}`, all)
  return all
}

/** Each of them sends so many datagrams a second, all together, until it is ended. */
export const chatter = (stage: Stage, applications: readonly Application[], perSecond: number): (() => void) => {
  const everyMs = 10
  const share = (applications.length * perSecond * everyMs) / 1_000
  let due = 0
  let next = 0
  const timer = setInterval(() => {
    for (due += share; due >= 1; due--) applications[next++ % applications.length].send('chatter')
  }, everyMs)
  const end = () => clearInterval(timer)
  stage.finally(end)
  return end
}

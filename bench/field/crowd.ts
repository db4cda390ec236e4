/** Many applications beside one client. */
import { createSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { ports } from '../ends.js'
import type { Application, Seen, Stage } from './stage.js'
import { seconds } from './stage.js'

export const crowd = (stage: Stage, size: number, ...where: Parameters<Stage['application']>): Promise<Application[]> =>
  Promise.all(Array.from({ length: size }, () => stage.application(...where)))

export interface Served {
  readonly served: number
  /** Milliseconds until the last one was served. */
  readonly ms: number
}

/** Each application asks ten times a second until it has an answer. */
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

/** Says whether all applications are served within `limitMs`. */
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

/** Each application sends this many datagrams a second until the load is ended. */
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

/**
 * Asks as a program does that queries a name server: a new socket for each question, which is repeated twice when no
 * answer comes.
 */
const askOnce = async (from: string): Promise<number | undefined> => {
  const tries = 3
  const patienceMs = 1_000
  const socket = createSocket('udp4')
  socket.on('error', () => {})
  const start = performance.now()
  try {
    return await new Promise(resolve => {
      let left = tries
      let timer: NodeJS.Timeout
      const next = (): void => {
        if (left-- === 0) resolve(undefined)
        else {
          socket.send('question', ports.client, '127.0.0.1')
          timer = setTimeout(next, patienceMs)
        }
      }
      socket.on('message', () => {
        clearTimeout(timer)
        resolve(performance.now() - start)
      })
      socket.bind(0, from, next)
    })
  } finally {
    socket.close()
  }
}

export interface Answers {
  readonly answered: number
  /** Answered by the first question, within a second. */
  readonly first: number
}

let asked = 0

/** Sends one question from each of `count` new sources, at this rate. */
export const askFromNew = async (sources: number, perSecond: number): Promise<Answers> => {
  const all: Promise<number | undefined>[] = []
  const start = performance.now()
  for (; all.length < sources; await sleep(5)) {
    const due = Math.min(sources, ((performance.now() - start) / 1_000) * perSecond)
    // The addresses start at 127.1.0.1, so a port that is used again belongs to another source all the same.
    for (; all.length < due; asked++)
      all.push(askOnce(`127.${1 + (asked >> 14)}.${(asked >> 7) & 127}.${1 + (asked & 127)}`))
  }
  const answers = (await Promise.all(all)).filter(ms => ms !== undefined)
  return { answered: answers.length, first: answers.filter(ms => ms < 1_000).length }
}

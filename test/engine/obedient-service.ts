/**
 * Does in its worker what the test wants: `orders[queue]` names it, and is 0 once it was done. What happened stands in `events`, as
 * counters. A datagram that begins with a p kills it.
 */
import { spawnSync } from 'node:child_process'
import type { Service, ServiceContext, ServiceFactory } from '../../src/workers/service.js'

export const Do = {
  nothing: 0,
  die: 1,
  connect: 2,
  closeAll: 3,
  log: 4,
  spin: 5,
  wait: 6,
  block: 7,
  hoard: 8,
  chat: 9,
  connectAndNap: 10,
} as const
/** Events that `Do.chat` logs. */
export const chatter = 10_000
export const Event = { started: 0, opened: 1, closed: 2, connectFailed: 3, received: 4, stopped: 5, words: 8 } as const

export interface ObedientData {
  readonly orders: Int32Array
  readonly events: Int32Array
  /** Where `Do.connect` goes. */
  readonly remote?: Uint8Array
  readonly port?: number
  /** Asks for many connections each millisecond. */
  readonly storm?: boolean
}

/** Shared words for `queues` workers. */
export const obedientData = (queues: number): ObedientData => ({
  orders: new Int32Array(new SharedArrayBuffer(queues * 4)),
  events: new Int32Array(new SharedArrayBuffer(Event.words * 4)),
})

const obedient: ServiceFactory = (context: ServiceContext): Service => {
  const { orders, events, remote, port, storm } = context.data as ObedientData
  const note = (event: number) => Atomics.add(events, event, 1)
  const flows = new Set<Parameters<Service['opened']>[0]>()
  const connect = () => context.connect(1000 + context.queue, [remote!], port!)
  const act = () => {
    const order = Atomics.exchange(orders, context.queue, Do.nothing)
    if (order === Do.die) throw new Error('died by order')
    if (order === Do.connect || order === Do.connectAndNap) connect()
    // Busy, and back before anybody takes it for stuck.
    for (const end = performance.now() + 300; order === Do.connectAndNap && performance.now() < end; );
    if (order === Do.closeAll) for (const flow of [...flows]) flow.close()
    // Without end, asleep without end, asleep in a native call, and memory without end.
    for (; order === Do.spin; );
    if (order === Do.wait) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    if (order === Do.block) spawnSync('sleep', ['3'])
    for (const hoard: object[] = []; order === Do.hoard; ) hoard.push(Array.from({ length: 1_000 }, () => ({})))
    if (order === Do.log) context.log('info', 'logged by order', { queue: context.queue })
    for (let i = 0; order === Do.chat && i < chatter; i++) context.log('info', 'one of many', { i })
  }
  note(Event.started)
  context.every(2, act)
  if (storm) context.every(1, () => Array.from({ length: 20 }, connect))
  return {
    opened(flow) {
      flows.add(flow)
      if (remote !== undefined && flow.token !== 1000 + context.queue) throw new Error(`token ${flow.token}`)
      note(Event.opened)
    },
    received(_, batch) {
      const [[first]] = batch
      if (first === 'p'.charCodeAt(0)) throw new Error('poison')
      Atomics.add(events, Event.received, batch.count)
    },
    closed(flow) {
      flows.delete(flow)
      note(Event.closed)
    },
    connectFailed(token) {
      if (token !== 1000 + context.queue) throw new Error(`token ${token}`)
      note(Event.connectFailed)
    },
    stop: () => note(Event.stopped),
  }
}

export default obedient

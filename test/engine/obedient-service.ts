/** Does in its worker what a test orders (support/obedient.ts), and says what happens to it. A datagram that begins with a p kills it. */
import { spawnSync } from 'node:child_process'
import { BroadcastChannel } from 'node:worker_threads'
import type { Service, ServiceContext, ServiceFactory, ServiceFlow } from '../../src/workers/service.js'
import type { Event, Happened, ObedientData, Ordered } from '../support/obedient.js'

const obedient: ServiceFactory<unknown, ObedientData> = (context: ServiceContext<ObedientData>): Service => {
  const { queue, data } = context
  const token = 1000 + queue
  const flows = new Set<ServiceFlow>()
  const channel = new BroadcastChannel(data.channel)
  const say = (event: Event, count = 1) => channel.postMessage({ event, count } satisfies Happened)
  const connect = () => context.connect(token, [data.remote!], data.port!)
  const busyFor = (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  }

  const orders: Record<Ordered['order'], () => void> = {
    die: () => {
      throw new Error('died by order')
    },
    connect,
    // Busy, and back before anybody takes it for stuck.
    'connect and be busy': () => {
      connect()
      busyFor(300)
    },
    'close all': () => {
      for (const flow of [...flows]) flow.close()
    },
    log: () => context.log('info', 'test:ordered', 'logged by order', { queue }),
    'loop without end': () => busyFor(Number.POSITIVE_INFINITY),
    'sleep without end': () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
    'sleep in a native call': () => spawnSync('sleep', ['3']),
    'fill the heap': () => {
      for (const hoard: object[] = []; ; ) hoard.push(Array.from({ length: 1_000 }, () => ({})))
    },
  }
  const pending: (() => void)[] = []
  channel.onmessage = message => {
    const ordered = (message as { data: Ordered }).data
    if (ordered.queue === queue) pending.push(orders[ordered.order])
  }
  // In a turn of the service's own, as anything that a service does by itself.
  context.every(2, () => pending.shift()?.())
  if (data.storm) context.every(1, () => Array.from({ length: 20 }, connect))
  say('started')
  return {
    opened(flow) {
      flows.add(flow)
      if (data.remote !== undefined && flow.token !== token) throw new Error(`token ${flow.token}`)
      say('opened')
    },
    received(_, batch) {
      const [[first]] = batch
      if (first === 'p'.charCodeAt(0)) throw new Error('poison')
      say('received', batch.count)
    },
    closed(flow) {
      flows.delete(flow)
      say('closed')
    },
    connectFailed(failed) {
      if (failed !== token) throw new Error(`token ${failed}`)
      say('connectFailed')
    },
    stop() {
      say('stopped')
      channel.close()
    },
  }
}

export default obedient

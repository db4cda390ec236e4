/** One process or worker of poller.test.ts, named by its argument. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { native, Ready } from '../../src/native.js'
import { openPair, sharedArena } from '../support/native.js'

const { arena } = sharedArena(64)
const fd = native.eventOpen()
openPair()
native.eventRing(fd)

const watch = (onReady: () => void) => {
  const poller = new native.Poller(arena, 8, onReady)
  poller.add(fd, 1, Ready.read)
  return poller
}
const registry = new FinalizationRegistry(() => console.log('collected'))
/** Several rounds: finalizers run in tasks of their own. */
const collect = async () => {
  for (let i = 0; i < 10; i++) {
    globalThis.gc?.()
    await sleep(10)
  }
}
/** A poller that nobody but its own callback refers to. */
const watchWeakly = () => {
  let poller: WeakRef<object & { close(): void }> | undefined
  const ready = new Promise<void>(resolve => {
    const strong = watch(() => {
      resolve()
      strong.remove(fd)
    })
    registry.register(strong, 0)
    poller = new WeakRef(strong)
  })
  return { poller: poller as NonNullable<typeof poller>, ready }
}

const printCaught = () => process.on('uncaughtException', error => console.log('caught', error.message))

const scenarios: Record<string, () => void> = {
  exception: () => {
    printCaught()
    let calls = 0
    const poller = watch(() => {
      calls++
      if (calls === 1) throw new Error('thrown in onReady')
      if (calls === 2) {
        process.nextTick(() => {
          throw new Error('thrown in a tick')
        })
      }
      if (calls === 3) {
        console.log('still polling')
        poller.close()
      }
    })
  },
  uncaught: () => {
    watch(() => {
      throw new Error('thrown in onReady')
    })
  },
  closedArena: () => {
    printCaught()
    watch(() => {})
    native.arenaClose(arena)
  },
  collected: async () => {
    native.eventDrain(fd)
    const { poller, ready } = watchWeakly()
    await collect()
    native.eventRing(fd)
    await ready
    console.log('ready')
    poller.deref()?.close()
    await collect()
  },
  unref: () => {
    native.eventDrain(fd)
    watch(() => {}).unref()
  },
  exit: () => {
    watch(() => {})
    setImmediate(() => process.exit(0))
  },
  exitWithin: () => {
    watch(() => process.exit(0))
  },
  idle: () => {
    native.eventDrain(fd)
    watch(() => {})
    parentPort?.postMessage('up')
  },
  busy: () => {
    watch(() => {
      parentPort?.postMessage('up')
      for (;;);
    })
  },
}

scenarios[process.argv[2]]()

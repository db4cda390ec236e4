import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { isSystemError } from '../errors.js'
import { Errno, errnoName, native } from '../native.js'
import { type Feature, unused, used } from '../net/features.js'
import type { AddressPair } from '../net/pair.js'
import { TrialWire } from './trial-wire.js'
import type { TunDevice } from './tun-device.js'

/** What the kernel really does with super-packets. */
export interface TrialResult {
  readonly superPacketsOut: Feature
  readonly superPacketsIn: Feature
  /** Whether everything was tried to its end, in every family: a firewall may let nothing in. */
  readonly complete: boolean
}

/** No step takes longer, on however busy a machine. */
const stepMs = 200
/**
 * The kernel answers a SYN while it is being written, unless it is busy. Where a firewall lets nothing in, a start
 * takes this much longer.
 */
const answerMs = 100
/** Equal segments: with the headers no multiple of their size, as datagrams usually are. */
const segmentSize = 500
const outBytes = 3 * segmentSize
/**
 * Several segments of any size that the kernel may choose, and few enough to be sent before anything is acknowledged.
 */
const inBytes = 4_000

/**
 * Tries super-packets on the interface itself, both ways and in every family that it has: a connection to a socket of
 * this process by way of the kernel. Kernels are out there that take the settings and refuse the packets. Before the
 * workers read the queues. What cannot be tried (a firewall that lets nothing in) is believed to work, until a write is
 * refused.
 */
export const tryOffloads = async (device: TunDevice): Promise<TrialResult> => {
  const results: TrialResult[] = []
  // One after the other: whoever reads a queue drops what is not its own.
  for (const pair of device.pairs) results.push(await tryPair(device, pair))
  const first = (pick: (result: TrialResult) => Feature): Feature => results.map(pick).find(({ used }) => !used) ?? used
  return {
    superPacketsOut: first(r => r.superPacketsOut),
    superPacketsIn: first(r => r.superPacketsIn),
    complete: results.every(({ complete }) => complete),
  }
}

const tryPair = async (device: TunDevice, pair: AddressPair): Promise<TrialResult> => {
  const works = { superPacketsOut: used, superPacketsIn: used, complete: false }
  const server = createServer()
  const accepted: Socket[] = []
  server.on('connection', socket => {
    socket.on('error', () => {})
    accepted.push(socket)
  })
  try {
    server.listen(0, pair.host.text)
    await once(server, 'listening')
    return { ...works, ...(await converse(device, pair, server, accepted)) }
  } catch (error) {
    if (!isSystemError(error)) throw error
    // No socket can be had here: nothing was tried.
    return works
  } finally {
    for (const socket of accepted) socket.destroy()
    server.close()
  }
}

/** The conversation; what it found to be wrong. */
const converse = async (
  device: TunDevice,
  pair: AddressPair,
  server: Server,
  accepted: readonly Socket[],
): Promise<Partial<TrialResult>> => {
  const family = `IPv${pair.host.family}`
  const wire = new TrialWire(device, pair, (server.address() as { port: number }).port)
  const sent = pattern(outBytes)
  let refusal = refusalOf(wire.syn())
  const answered = refusal === undefined && (await until(() => wire.read().some(({ opens }) => opens), answerMs))
  if (answered) wire.acknowledge()
  refusal ??= refusalOf(wire.send(sent, segmentSize))
  try {
    if (refusal !== undefined) {
      return {
        superPacketsOut: unused(`the kernel refused a super-packet over ${family} (${refusal})`),
        complete: true,
      }
    }
    if (!answered || !(await until(() => accepted.length > 0))) return {}
    const [socket] = accepted
    const received: Buffer[] = []
    socket.on('data', bytes => received.push(bytes))
    const arrived = () => Buffer.concat(received).equals(sent)
    if (!(await until(arrived))) {
      for (let at = 0; at < outBytes; at += segmentSize) wire.sendPlain(sent, at, segmentSize)
      const superPacketsOut = unused(`super-packets over ${family} do not arrive, single ones do`)
      return (await until(arrived)) ? { superPacketsOut, complete: true } : {}
    }
    const back = pattern(inBytes)
    socket.write(back)
    let got = Buffer.alloc(0)
    const whole = await until(() => {
      got = Buffer.concat([got, ...wire.read().map(({ payload }) => payload)])
      return got.length >= inBytes
    })
    return whole && !got.equals(back)
      ? { superPacketsIn: unused(`what the kernel hands over over ${family} is damaged`), complete: true }
      : { complete: whole }
  } finally {
    if (answered) wire.reset()
  }
}

/** What a write was refused with. An interface that is down or a queue that is full says nothing of super-packets. */
const refusalOf = (result: number): string | undefined =>
  result >= 0 || result === -Errno.EIO || result === -Errno.EAGAIN ? undefined : errnoName(result)

const pattern = (bytes: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + (i >> 8)) & 0xff))

/** Whether `test` holds within so many milliseconds. */
const until = async (test: () => boolean, ms = stepMs): Promise<boolean> => {
  const end = native.clock() + ms
  for (let turns = 0; ; turns++) {
    if (test()) return true
    if (native.clock() >= end) return false
    await (turns < 20 ? turn() : sleep(1))
  }
}

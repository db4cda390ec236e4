import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { isSystemError } from '../errors.js'
import { Errno, errnoName, native } from '../native.js'
import { type Feature, unused, used } from '../net/features.js'
import type { AddressPair } from '../net/pair.js'
import { TrialWire } from './trial-wire.js'
import type { TunDevice } from './tun-device.js'

/** What a trial found out about super-packets. */
export interface TrialResult {
  readonly superPacketsOut: Feature
  readonly superPacketsIn: Feature
  /** Whether every step was tried in every family. A firewall may let nothing in. */
  readonly complete: boolean
}

/** Milliseconds that one step may take, on a busy machine too. */
const stepMs = 200
/**
 * Milliseconds to wait for the SYN+ACK. The kernel answers a SYN while it is being written, unless it is busy. Where a
 * firewall drops the SYN, the start takes this much longer.
 */
const answerMs = 100
/** Bytes per segment. As usual for datagrams, packet sizes with headers are no multiple of it. */
const segmentSize = 500
const outBytes = 3 * segmentSize
/**
 * Enough for several segments, whatever size the kernel chooses. Few enough for the kernel to send them before it gets
 * an ACK.
 */
const inBytes = 4_000

/**
 * Tries super-packets on the interface itself, both ways and in every family that it has: over a connection through the
 * kernel to a socket of this process. Some kernels accept the settings and then refuse or damage the packets. Call
 * before workers read the queues. What cannot be tried, because a firewall lets nothing in, counts as working until a
 * write is refused.
 */
export const tryOffloads = async (device: TunDevice): Promise<TrialResult> => {
  const results: TrialResult[] = []
  // One after the other: a trial drops all packets that it reads and that are not its own.
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
    // This process cannot open a server socket, so nothing was tried.
    return works
  } finally {
    for (const socket of accepted) socket.destroy()
    server.close()
  }
}

/** Exchanges the packets of a trial. Answers what differs from a result where everything works. */
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

/**
 * The error with which a write was refused. EIO and EAGAIN do not count: an interface that is down or a full queue
 * tells nothing about super-packets.
 */
const refusalOf = (result: number): string | undefined =>
  result >= 0 || result === -Errno.EIO || result === -Errno.EAGAIN ? undefined : errnoName(result)

const pattern = (bytes: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + (i >> 8)) & 0xff))

/** Whether `test` becomes true within `ms` milliseconds. */
const until = async (test: () => boolean, ms = stepMs): Promise<boolean> => {
  const end = native.clock() + ms
  for (let turns = 0; ; turns++) {
    if (test()) return true
    if (native.clock() >= end) return false
    await (turns < 20 ? turn() : sleep(1))
  }
}

import { type Addon, errnoName, Message, native, UdpFlag } from '../native.js'
import { uncut } from './refusals.js'

/** UDP offloads of the kernel. The tunnel works without either, but takes more processor time. */
export interface UdpFeatures {
  /** The kernel merges arriving datagrams of one source into one message (UDP_GRO, Linux 5.0). */
  readonly gro: boolean
  /** The kernel cuts one message into datagrams as it leaves (UDP_SEGMENT, Linux 4.18). */
  readonly segment: boolean
}

/** The addon's functions that a probe calls. */
export type ProbeCalls = Pick<
  Addon,
  'udpOpen' | 'udpBind' | 'udpPort' | 'udpSend' | 'udpReceive' | 'arenaOpen' | 'arenaClose' | 'close'
>

const loopback = Uint8Array.of(127, 0, 0, 1)
const datagramBytes = 8
const room = 4 * datagramBytes
const maxMessages = 4
/**
 * Number of tries to receive, and the milliseconds between them. A datagram on the loopback interface is there when
 * `udpSend` returns, but a busy kernel may take a moment.
 */
const waits = 20
const waitMs = 1

/**
 * Tries both features on loopback sockets. Some kernels accept an option and ignore it: then a message that is to be
 * cut arrives as one long datagram. Where nothing arrives (no loopback interface, a firewall), the probe relies on the
 * kernel's accepting the option.
 */
export const probeUdp = (calls: ProbeCalls = native): UdpFeatures => {
  const known = (flag: number): boolean => {
    const fd = calls.udpOpen(4, flag)
    if (fd >= 0) calls.close(fd)
    return fd >= 0
  }
  const segment = known(UdpFlag.segment) && judge(exchange(calls, 0), plain)
  // Merged datagrams must come with their segment size. Without it the tunnel would forward two of them as one.
  const gro = known(UdpFlag.gro) && (!segment || judge(exchange(calls, UdpFlag.gro), merged))
  return { gro, segment }
}

/** Names of the missing features, for the log. */
export const missingFeatures = ({ gro, segment }: UdpFeatures): string[] => [
  ...(gro ? [] : ['UDP_GRO']),
  ...(segment ? [] : ['UDP_SEGMENT']),
]

/**
 * The messages that arrived, each as 'length' or 'length/segmentSize'; undefined: none. If a call failed, the name of
 * its error.
 */
type Outcome = readonly string[] | undefined

const plain = [`${datagramBytes},${datagramBytes}`]
const merged = [...plain, `${2 * datagramBytes}/${datagramBytes}`]
const judge = (outcome: Outcome, wanted: readonly string[]): boolean =>
  outcome === undefined || wanted.includes(outcome.join())

/** Sends two datagrams as one message to a socket with `flags`. */
const exchange = (calls: ProbeCalls, flags: number): Outcome => {
  const words = new Int32Array(maxMessages * Message.words + 2)
  const bytes = new Uint8Array(maxMessages * room)
  const [vec, memory] = [calls.arenaOpen(new Uint8Array(words.buffer)), calls.arenaOpen(bytes)]
  const from = calls.udpOpen(4, 0)
  const to = calls.udpOpen(4, flags)
  try {
    if (from < 0 || to < 0 || calls.udpBind(to, loopback, 0, 0) < 0) return undefined
    writeMessage(words, calls.udpPort(to))
    const sent = calls.udpSend(from, 4, memory, vec, 0, 1)
    if (sent < 0) return uncut.has(-sent) ? [errnoName(sent)] : undefined
    return receiveAll(count => calls.udpReceive(to, memory, 0, room, count, vec, 0), words)
  } finally {
    for (const fd of [from, to]) if (fd >= 0) calls.close(fd)
    for (const arena of [vec, memory]) calls.arenaClose(arena)
  }
}

/** Writes the record of one message of two datagrams, and its piece. */
const writeMessage = (words: Int32Array, port: number): void => {
  const piece = maxMessages * Message.words
  words[Message.at] = piece
  words[Message.length] = 1
  words[Message.segmentSize] = datagramBytes
  words[Message.port] = port
  new Uint8Array(words.buffer).set(loopback, 4 * Message.address)
  words[piece + 1] = 2 * datagramBytes
}

const receiveAll = (receive: (max: number) => number, words: Int32Array): Outcome => {
  const found: string[] = []
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  let bytes = 0
  for (let wait = 0; wait < waits && bytes < 2 * datagramBytes; wait++) {
    const count = receive(maxMessages)
    if (count < 0) return [errnoName(count)]
    for (let i = 0; i < count; i++) {
      const [length, size] = [words[i * Message.words + Message.length], words[i * Message.words + Message.segmentSize]]
      found.push(size === 0 ? `${length}` : `${length}/${size}`)
      bytes += length
    }
    if (count === 0) Atomics.wait(sleeper, 0, 0, waitMs)
  }
  return found.length === 0 ? undefined : found
}

/**
 * The sequence numbers of a connection pass 2^32, in either direction, and nobody notices.
 *
 * Our server begins a connection at a number of its own choice, a cookie: connections are opened until one begins just below the
 * end. Our client must begin at 0, so it sends 4 GiB, of which a rule in the kernel lets only one super-packet in 512 through.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Socket, Stack } from '../../src/index.js'
import { stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork } from '../../src/lab/network.js'
import { native } from '../../src/native.js'
import { LibrarySource } from '../support/library.js'
import { type Kind, ports, startClient, startServer, tuns } from '../support/programs.js'
import { exchange, randomDatagrams, startService, UdpSource } from '../support/udp-source.js'

const end = 2 ** 32
const megabyte = 2 ** 20
const size = 1_400
const datagramsOf = (bytes: number): Buffer[] => randomDatagrams(Array(Math.ceil(bytes / size)).fill(size))

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

/** Sequence numbers of the IPv4 segments that reach A's TUN interface from now on. */
class SeqCapture {
  readonly #fd = native.captureOpen(tuns.a, megabyte)
  readonly #bytes = Buffer.alloc(70_000)

  /** The newest SYN+ACK's, or undefined. */
  latestSynAck(): number | undefined {
    return this.#latest(0x12, 44)
  }

  /** The newest datagram's: other connections' late ACKs are none. */
  latestData(): number | undefined {
    return this.#latest(0x10, 41)
  }

  #latest(flags: number, least: number): number | undefined {
    let seq: number | undefined
    for (let length = 1; length > 0; ) {
      length = native.read(this.#fd, this.#bytes, 0, this.#bytes.length)
      const toStack = length >= least && this.#bytes.readUInt16BE(20) === ports.server
      if (toStack && this.#bytes[33] === flags) seq = this.#bytes.readUInt32BE(24)
    }
    return seq
  }

  close(): void {
    native.close(this.#fd)
  }
}

/** phantun's client loses a datagram that meets a socket of its own between bind and connect: then another one goes out. */
const firstAnswer = async (source: UdpSource): Promise<void> => {
  for (let i = 0; i < 20; i++) {
    source.send('x')
    if (
      await source.until(1, 500).then(
        () => true,
        () => false,
      )
    )
      return
  }
  throw new Error('a new UDP source gets no answer')
}

/** Opens connections until our server's first sequence number is so near the end that little is to be sent. */
const sourceNearTheEnd = async (t: Test): Promise<{ source: UdpSource; left: number }> => {
  const capture = new SeqCapture()
  try {
    for (let i = 0; i < 1_500; i++) {
      const source = await UdpSource.open(t)
      await firstAnswer(source)
      // Without a SYN+ACK this is the UDP port of an earlier source: its connection is still there.
      const left = end - (capture.latestSynAck() ?? 0)
      if (left > megabyte && left < 40 * megabyte) return { source, left }
    }
  } finally {
    capture.close()
  }
  throw new Error('no connection began near the end')
}

for (const kind of ['ours', 'phantun'] as const) {
  t.test(`our server sends past the end to ${kind} client`, async t => {
    await startService(t, network.b, 4)
    await startServer(t, network.b)
    await startClient(t, network.a, { kind })
    const { source, left } = await sourceNearTheEnd(t)
    const datagrams = datagramsOf(left + 2 * megabyte)
    t.comment(`${datagrams.length} datagrams; the end is ${left} bytes away`)
    t.equal(await exchange([source], [datagrams], 24, kind === 'phantun'), undefined)
    const capture = new SeqCapture()
    t.equal(await exchange([source], [datagramsOf(1)], 1), undefined)
    const seq = capture.latestData() ?? Number.NaN
    capture.close()
    t.ok(seq >= megabyte && seq < 4 * megabyte, `the sequence number is past the end: ${seq}`)
  })
}

/** Sends in super-packets until so many bytes were sent in all. */
const sendUpTo = async (socket: Socket, bytes: number): Promise<void> => {
  const batch = new Uint8Array(46 * size)
  while (socket.stats().bytesOut < bytes) {
    for (let i = 0; i < 64; i++) socket.sendBatch(batch, size)
    await turn()
  }
}

const clientWraps = (kind: Kind): void => {
  t.test(`our client sends past the end to ${kind} server`, async t => {
    await startService(t, network.b, 4)
    await startServer(t, network.b, { kind })
    const { tunLocal, tunPeer } = addresses.a
    const stack = await Stack.open({ tun: { name: tuns.a, hostAddress: tunLocal, stackAddress: tunPeer } })
    t.teardown(() => stack.close())
    const socket = await stack.connect(addresses.b.tunPeer, ports.server)
    const source = new LibrarySource(socket)
    const anyOrder = kind === 'phantun'
    t.equal(await exchange([source], [datagramsOf(megabyte)], 16, anyOrder), undefined, 'before')

    const drop = `iifname "${tuns.a}" numgen inc mod 512 != 0 drop`
    const rule = `table inet hole { chain hole { type filter hook prerouting priority 0; ${drop}; }; }`
    network.a.command(['nft', rule])
    await sendUpTo(socket, end - 12 * megabyte)
    network.a.command(['nft', 'delete table inet hole'])
    for (let seen = -1; seen < source.received.length; await sleep(300)) seen = source.received.length
    t.ok(socket.stats().bytesOut < end, `${socket.stats().bytesOut} bytes sent`)

    // A large window makes super-packets: one of them has the end within it.
    const window = anyOrder ? 16 : 64
    t.equal(await exchange([source], [datagramsOf(16 * megabyte)], window, anyOrder), undefined, 'past the end')
    t.ok(socket.stats().bytesOut > end, `${socket.stats().bytesOut} bytes sent`)
    await socket.close()
  })
}
clientWraps('ours')
clientWraps('phantun')

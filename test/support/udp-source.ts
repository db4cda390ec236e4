import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { programs } from '../../bench/programs.js'
import type { Child } from '../../src/lab/child.js'
import type { Side } from '../../src/lab/network.js'
import { endWith, type Family, loopback, ports } from './programs.js'

/** What `exchange` needs of an application's end. */
export interface Source {
  readonly received: Uint8Array[]
  onDatagram: () => void
  send(datagram: Uint8Array): void
}

/** A UDP application: sends from one port, keeps what comes back, in order. */
export class UdpSource implements Source {
  readonly received: Buffer[] = []
  /** 'address port' of each datagram in `received`. */
  readonly from: string[] = []
  onDatagram: () => void = () => {}
  readonly #socket: Socket
  readonly #host: string

  private constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    socket.on('message', (datagram, { address, port }) => {
      this.received.push(datagram)
      this.from.push(`${address} ${port}`)
      this.onDatagram()
    })
    // ECONNREFUSED and the like: what is missing is noticed by the test.
    socket.on('error', () => {})
  }

  /** Sends to the client's port at the loopback address of `family`, or at `host`. Closes with the test. */
  static async open(t: Test, family: Family = 4, host?: string): Promise<UdpSource> {
    const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', recvBufferSize: 1 << 20 })
    t.teardown(() => socket.close())
    socket.bind(0)
    await once(socket, 'listening')
    return new UdpSource(socket, host ?? (family === 4 ? '127.0.0.1' : '::1'))
  }

  send(datagram: Uint8Array | string): void {
    this.#socket.send(datagram, ports.client, this.#host)
  }

  /** Waits until `count` datagrams have come in all; they are in `received`. */
  async until(count: number, patience = 10_000): Promise<void> {
    const end = performance.now() + patience
    while (this.received.length < count) {
      if (performance.now() > end) {
        throw new Error(`${this.received.length} of ${count} datagrams came within ${patience} ms`)
      }
      await sleep(5)
    }
  }

  get texts(): string[] {
    return this.received.map(String)
  }
}

/** Sends a word every 100 ms until the echo of one is back, and waits for those of the others. */
export const knock = async (source: UdpSource, word: string): Promise<void> => {
  const before = source.received.length
  for (let i = 0; i < 100; i++) {
    source.send(word)
    await sleep(100)
    if (source.received.length === before) continue
    for (let seen = 0; seen < source.received.length; await sleep(200)) seen = source.received.length
    return
  }
  throw new Error(`no answer to ${word}`)
}

/** Starts bench/load/udp-service on a side, at its loopback or another address; it echoes unless told `--mute`. */
export const startService = async (t: Test, side: Side, where: Family | string, ...flags: string[]): Promise<Child> => {
  const host = typeof where === 'string' ? where : loopback[where]
  const command = [...programs.udpService, '--listen', `${host}:${ports.service}`]
  const service = endWith(t, side.run([...command, ...flags], { name: 'UDP service', seconds: 120 }))
  await service.until(() => service.stderr.includes('ready'), 'UDP socket')
  return service
}

/** What a service with `--record` has written. */
export const recorded = (service: Child): { from: string; data: Buffer }[] =>
  service.stdout
    .split('\n')
    .slice(0, -1)
    .map(line => {
      const { from, data } = JSON.parse(line) as { from: string; data: string }
      return { from, data: Buffer.from(data, 'base64') }
    })

/** One datagram of random content for each size. */
export const randomDatagrams = (sizes: readonly number[]): Buffer[] => sizes.map(size => randomBytes(size))

const keyOf = (datagram: Uint8Array): string => Buffer.from(datagram.subarray(0, 16)).toString('latin1')

/** Place within `sent` of each datagram in `got`, -1 for one that was never sent. They differ within their first 16 bytes. */
export const numbers = (got: readonly Uint8Array[], sent: readonly Uint8Array[]): number[] => {
  const known = new Map(sent.map((datagram, i) => [keyOf(datagram), i]))
  return got.map(datagram => {
    const place = known.get(keyOf(datagram)) ?? -1
    return place >= 0 && Buffer.compare(datagram, sent[place]) === 0 ? place : -1
  })
}

/** Milliseconds without any progress after which what is missing is lost. */
const patience = 3_000

/**
 * Sends each source's datagrams through a tunnel to an echo, at most `window` of one source under way at a time, so that no queue
 * on the way can overflow. Answers what was wrong: a datagram that was altered, lost or (unless `anyOrder`) out of order; or undefined.
 */
export const exchange = async (
  sources: readonly Source[],
  datagrams: readonly (readonly Uint8Array[])[],
  window: number,
  anyOrder = false,
): Promise<string | undefined> => {
  const faults: string[] = []
  const one = async (source: Source, flow: number): Promise<void> => {
    const sent = datagrams[flow]
    const before = source.received.length
    let next = 0
    let back = 0
    const push = (): void => {
      while (next < sent.length && next - back < window) source.send(sent[next++])
    }
    source.onDatagram = () => {
      back++
      push()
    }
    push()
    let quietSince = performance.now()
    for (let seen = -1; back < sent.length; await sleep(5)) {
      if (back > seen) quietSince = performance.now()
      else if (performance.now() - quietSince > patience) break
      seen = back
    }
    source.onDatagram = () => {}
    const got = source.received.slice(before)
    if (back < sent.length) faults.push(`source ${flow}: ${back} of ${next} sent came back`)
    if (anyOrder) {
      const found = new Set(numbers(got, sent))
      if (found.has(-1) || found.size < got.length) faults.push(`source ${flow}: altered or duplicated`)
      return
    }
    const wrong = got.findIndex((datagram, i) => Buffer.compare(datagram, sent[i] ?? new Uint8Array(0)) !== 0)
    if (wrong >= 0) {
      const came = numbers(got.slice(wrong, wrong + 8), sent).join(', ')
      faults.push(`source ${flow}: instead of number ${wrong} came ${came}`)
    }
  }
  await Promise.all(sources.map(one))
  return faults.length === 0 ? undefined : faults.join('; ')
}

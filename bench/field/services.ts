/** What the scenario itself plays in A: UDP services that programs of B reach over the wire, and a name server. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addresses } from '../../src/lab/network.js'
import { ports } from '../ends.js'
import type { Stage } from './stage.js'
import { until } from './wait.js'

const bind = async (stage: Stage, socket: Socket, host: string, port: number): Promise<() => void> => {
  let open = true
  const close = (): void => {
    if (open) socket.close()
    open = false
  }
  stage.finally(close)
  socket.on('error', () => {})
  socket.bind(port, host)
  await once(socket, 'listening')
  return close
}

/** Sends back what it gets, unless it is silent. */
export class Service {
  silent = false
  /** Every datagram that came. */
  readonly received: string[] = []
  readonly close: () => void
  readonly #socket: Socket
  /** The sender of the last datagram. */
  #asker: { address: string; port: number } | undefined

  private constructor(socket: Socket, close: () => void) {
    this.#socket = socket
    this.close = close
    socket.on('message', (datagram, { address, port }) => {
      this.received.push(datagram.toString())
      this.#asker = { address, port }
      if (!this.silent) socket.send(datagram, port, address)
    })
  }

  static async open(stage: Stage, host: string, port: number = ports.far): Promise<Service> {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 })
    return new Service(socket, await bind(stage, socket, host, port))
  }

  /** Waits until this datagram has come. */
  hears(text: string): Promise<boolean> {
    return until(() => this.received.includes(text), 10_000)
  }

  /** Sends to whoever asked last. */
  answer(text: string): void {
    if (this.#asker !== undefined) this.#socket.send(text, this.#asker.port, this.#asker.address)
  }
}

/** Offsets and values of DNS (RFC 1035 §4). */
const dns = { headerBytes: 12, response: 0x8580, nameError: 3, ipv4: 1, internet: 1, ttlSeconds: 1 } as const

/** A name server at A's end of the wire that knows IPv4 addresses. */
export class Resolver {
  static readonly #address = addresses.a.veth
  /** Leaves questions unanswered. */
  silent = false
  questions = 0
  readonly #known = new Map<string, string>()

  /** Words before a command, so that its programs ask this name server, whether it is there or not. */
  static before(stage: Stage): readonly string[] {
    const path = join(stage.folder, 'resolv.conf')
    writeFileSync(path, `nameserver ${Resolver.#address}\noptions timeout:1\n`)
    return stage.mounted(path, '/etc/resolv.conf')
  }

  static async open(stage: Stage): Promise<Resolver> {
    const resolver = new Resolver()
    const socket = createSocket('udp4')
    socket.on('message', (question, { address, port }) => {
      resolver.questions++
      if (!resolver.silent) socket.send(resolver.#answer(question), port, address)
    })
    await bind(stage, socket, Resolver.#address, 53)
    return resolver
  }

  set(name: string, address: string): void {
    this.#known.set(name, address)
  }

  #answer(question: Buffer): Buffer {
    const labels: string[] = []
    let at: number = dns.headerBytes
    for (; question[at] > 0; at += 1 + question[at]) {
      labels.push(question.toString('latin1', at + 1, at + 1 + question[at]))
    }
    const type = question.readUInt16BE(at + 1)
    const address = this.#known.get(labels.join('.').toLowerCase())
    const answers = address !== undefined && type === dns.ipv4 ? [Buffer.from(address.split('.').map(Number))] : []
    const header = Buffer.from(question.subarray(0, dns.headerBytes))
    header.writeUInt16BE(dns.response | (address === undefined ? dns.nameError : 0), 2)
    header.writeUInt16BE(answers.length, 6)
    header.fill(0, 8)
    // The answer's name is a pointer to the question at offset 12.
    const record = (data: Buffer): Buffer =>
      Buffer.from([0xc0, dns.headerBytes, 0, dns.ipv4, 0, dns.internet, 0, 0, 0, dns.ttlSeconds, 0, 4, ...data])
    return Buffer.concat([header, question.subarray(dns.headerBytes, at + 5), ...answers.map(record)])
  }
}

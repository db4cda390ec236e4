import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../src/lab/child.js'
import type { Side } from '../../src/lab/network.js'
import { ports } from './programs.js'

/** Columns of tshark, all of the outer headers; absolute sequence numbers. Those of the other IP version are empty. */
const fields = [
  'tcp.srcport',
  'tcp.dstport',
  'tcp.flags',
  'tcp.seq_raw',
  'tcp.ack_raw',
  'tcp.len',
  'tcp.hdr_len',
  'tcp.window_size_value',
  'tcp.urgent_pointer',
  'tcp.options',
  'ip.flags',
  'ip.ttl',
  'ip.hdr_len',
  'ip.dsfield',
  'ip.id',
  'ipv6.hlim',
  'ipv6.nxt',
] as const
export type Packet = Record<(typeof fields)[number], string>

/**
 * Checksums are verified, not taken on trust: tshark leaves that to the network card else. Datagrams of random bytes are just data:
 * sooner or later they look like a malformed packet of some protocol.
 */
const strict = [
  '-d',
  `tcp.port==${ports.server},data`,
  '-o',
  'ip.check_checksum:TRUE',
  '-o',
  'tcp.check_checksum:TRUE',
  '-o',
  'udp.check_checksum:TRUE',
]

/** tcpdump on one interface, into a file. */
export class Capture {
  readonly #side: Side
  readonly #file: string
  readonly #tcpdump: Child

  private constructor(side: Side, file: string, tcpdump: Child) {
    this.#side = side
    this.#file = file
    this.#tcpdump = tcpdump
  }

  static async start(side: Side, name: string, file: string): Promise<Capture> {
    // As itself, and without waiting for buffers to fill.
    const options = ['-Z', 'root', '-n', '-U', '--immediate-mode', '-B', '16384', '-s', '0']
    const command = ['tcpdump', '-i', name, '-w', file, ...options, 'tcp or icmp or icmp6']
    const tcpdump = side.run(command, { name: 'tcpdump', seconds: 60 })
    await tcpdump.until(() => tcpdump.stderr.includes('listening on'), 'capture')
    return new Capture(side, file, tcpdump)
  }

  /** Ends the capture; how many packets the kernel could not give to it. */
  async stop(): Promise<number> {
    await sleep(100)
    await this.#tcpdump.stop()
    return Number(/(\d+) packets? dropped by kernel/u.exec(this.#tcpdump.stderr)?.[1] ?? Number.NaN)
  }

  async #tshark(...args: string[]): Promise<string[]> {
    const command = ['tshark', '-n', '-r', this.#file, ...strict, ...args]
    const tshark = this.#side.run(command, { name: 'tshark', seconds: 60 })
    const code = await tshark.ended
    if (code !== 0) throw new Error(`tshark ended with ${code}\n${tshark.stderr}`)
    return tshark.stdout.split('\n').filter(line => line !== '')
  }

  /** tshark's lines for the packets that a display filter lets through. */
  filtered(filter: string): Promise<string[]> {
    return this.#tshark('-Y', filter)
  }

  /** The TCP packets in order. */
  async packets(): Promise<Packet[]> {
    const lines = await this.#tshark('-Y', 'tcp', '-T', 'fields', ...fields.flatMap(field => ['-e', field]))
    return lines.map(line => {
      const values = line.split('\t')
      return Object.fromEntries(fields.map((field, i) => [field, values[i] ?? ''])) as Packet
    })
  }
}

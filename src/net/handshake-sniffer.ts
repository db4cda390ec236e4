import { endianness } from 'node:os'
import { native } from '../native.js'
import { Protocol } from '../wire/ip.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import * as tcp from '../wire/tcp.js'
import { type Address, fromBytes } from './address.js'

/** A SYN to the port, or a RST from it, that passed an interface of this machine. */
export interface Sniffed {
  readonly kind: 'syn' | 'rst'
  readonly source: Address
  readonly destination: Address
  /** Index of the interface. */
  readonly index: number
  /** Whether it left the machine through that interface. */
  readonly outgoing: boolean
}

/** Bytes kept of each packet: enough for the IP and TCP headers that are read. */
const headerBytes = 128
const instructionBytes = 8

/**
 * Opcodes of classic BPF (linux/bpf_common.h): loads of a byte or half word, at an offset or at an offset from X;
 * jumps; the return.
 */
const Op = { byte: 0x30, half: 0x28, byteBehind: 0x50, halfBehind: 0x48, ipLength: 0xb1, setX: 0x01 } as const
const Jump = { equal: 0x15, anyBit: 0x45, atLeast: 0x35 } as const
const answer = 0x06

/**
 * An instruction, or a label (the string). A jump goes to the label `ifTrue` when its condition holds, and else to
 * `ifFalse`. Where a label is left out, the next instruction follows.
 */
type Line = readonly [code: number, value: number, ifTrue?: string | undefined, ifFalse?: string] | string

/**
 * A program that accepts SYNs to `port` and RSTs from it. From the label 'tcp' on, both families share the code: X
 * holds the length of the IP header.
 */
const lines = (port: number): readonly Line[] => [
  [Op.byte, 0],
  [Jump.atLeast, 0x60, 'six'],
  [Op.byte, ipv4.Offset.protocol],
  [Jump.equal, Protocol.tcp, undefined, 'no'],
  [Op.ipLength, 0],
  [Jump.atLeast, 0, 'tcp'],
  'six',
  [Op.byte, ipv6.Offset.nextHeader],
  [Jump.equal, Protocol.tcp, undefined, 'no'],
  [Op.setX, ipv6.headerLength],
  'tcp',
  [Op.halfBehind, tcp.Offset.destinationPort],
  [Jump.equal, port, undefined, 'from'],
  [Op.byteBehind, tcp.Offset.flags],
  [Jump.anyBit, tcp.Flag.syn, 'yes'],
  'from',
  [Op.halfBehind, tcp.Offset.sourcePort],
  [Jump.equal, port, undefined, 'no'],
  [Op.byteBehind, tcp.Offset.flags],
  [Jump.anyBit, tcp.Flag.rst, 'yes'],
  'no',
  [answer, 0],
  'yes',
  [answer, headerBytes],
]

/** The program as an array of `struct sock_filter`, with its labels resolved. */
const assemble = (program: readonly Line[]): Uint8Array => {
  const labels = new Map<string, number>()
  const steps: Exclude<Line, string>[] = []
  for (const line of program) {
    if (typeof line === 'string') labels.set(line, steps.length)
    else steps.push(line)
  }
  const bytes = new Uint8Array(steps.length * instructionBytes)
  const view = new DataView(bytes.buffer)
  const little = endianness() === 'LE'
  for (const [i, [code, value, ifTrue, ifFalse]] of steps.entries()) {
    const skipped = (label: string | undefined): number => (label === undefined ? 0 : labels.get(label)! - i - 1)
    view.setUint16(i * instructionBytes, code, little)
    view.setUint8(i * instructionBytes + 2, skipped(ifTrue))
    view.setUint8(i * instructionBytes + 3, skipped(ifFalse))
    view.setUint32(i * instructionBytes + 4, value, little)
  }
  return bytes
}

/**
 * Reads the SYNs and RSTs of a TCP port off every interface of this machine. It sees incoming packets before a firewall
 * can drop them or NAT can rewrite them.
 */
export class HandshakeSniffer {
  readonly #fd: number
  readonly #bytes = new Uint8Array(headerBytes)
  readonly #from = new Int32Array(2)
  readonly #fromArena: number

  private constructor(fd: number) {
    this.#fd = fd
    this.#fromArena = native.arenaOpen(new Uint8Array(this.#from.buffer))
  }

  /** Undefined when the kernel refuses the socket (no CAP_NET_RAW). */
  static open(port: number): HandshakeSniffer | undefined {
    const fd = native.sniffOpen(assemble(lines(port)))
    return fd < 0 ? undefined : new HandshakeSniffer(fd)
  }

  /** The packets that have passed since the last call. */
  read(): Sniffed[] {
    const found: Sniffed[] = []
    for (;;) {
      const length = native.sniffRead(this.#fd, this.#bytes, 0, headerBytes, this.#fromArena, 0)
      if (length <= 0) return found
      const sniffed = this.#parse(length)
      if (sniffed !== undefined) found.push(sniffed)
    }
  }

  close(): void {
    native.arenaClose(this.#fromArena)
    native.close(this.#fd)
  }

  #parse(length: number): Sniffed | undefined {
    const bytes = this.#bytes
    const four = bytes[0] >>> 4 === 4
    const header = four ? ipv4.headerLength(bytes, 0) : ipv6.headerLength
    if (length < header + tcp.headerLength) return undefined
    const { source, destination } = four ? ipv4.Offset : ipv6.Offset
    const address = (at: number): Address => fromBytes(bytes.slice(at, at + (four ? 4 : 16)))
    return {
      kind: (tcp.flags(bytes, header) & tcp.Flag.syn) !== 0 ? 'syn' : 'rst',
      source: address(source),
      destination: address(destination),
      index: this.#from[0],
      outgoing: this.#from[1] !== 0,
    }
  }
}

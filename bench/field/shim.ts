import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { programs } from '../programs.js'

/** What a kernel may lack or refuse, in the order of `enum fault` in shim.c. */
const faults = [
  'udp-gro-missing',
  'udp-segment-missing',
  'udp-segment-refused',
  'tun-gso-remainder',
  'tun-gso',
  'tun-multi-queue',
  'tun-vnet-hdr',
  'tun-excl',
  'tun-offload',
  'ipv6-missing',
] as const
export type Fault = (typeof faults)[number]

/** The errno and the count of hits have 32 bits each. */
const recordBytes = 8

/** A kernel with faults, for one program, which must be started with `env`. */
export class Shim {
  readonly env: Readonly<Record<string, string>>
  readonly #fd: number

  /** The file of the faults lies in `folder`. Several programs with one `name` share the faults. */
  constructor(folder: string, name = 'shim') {
    const path = join(folder, name)
    this.#fd = openSync(path, 'w+')
    writeSync(this.#fd, new Uint8Array(faults.length * recordBytes))
    this.env = { LD_PRELOAD: programs.shim[0], FAKE_TCP_SHIM: path }
  }

  /** From now on the kernel answers with this error. With undefined it behaves well again. */
  set(fault: Fault, error: keyof typeof constants.errno | undefined): void {
    const record = new Int32Array([error === undefined ? 0 : constants.errno[error]])
    writeSync(this.#fd, record, 0, 4, faults.indexOf(fault) * recordBytes)
  }

  /** How often the fault struck. */
  hits(fault: Fault): number {
    const hits = new Uint32Array(1)
    readSync(this.#fd, hits, 0, 4, faults.indexOf(fault) * recordBytes + 4)
    return hits[0]
  }

  close(): void {
    closeSync(this.#fd)
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { Batch } from '../../src/memory/batch.js'
import { Message, native, UdpFlag } from '../../src/native.js'
import { UdpReceiver } from '../../src/udp/receive.js'
import { type Route, unaddressed } from '../../src/udp/route.js'
import type { UdpSocket } from '../../src/udp/socket.js'

export const loopback = Uint8Array.of(127, 0, 0, 1)

/** A batch of equal datagrams of ascending bytes; pieces of a few datagrams each. */
export const batchOf = (datagrams: number, size: number, perPiece = datagrams): Batch => {
  const bytes = Uint8Array.from({ length: datagrams * size }, (_, i) => i % 251)
  const batch = new Batch(64)
  batch.reset(native.arenaOpen(bytes), bytes, 1 << 20)
  for (let at = 0; at < bytes.length; at += perPiece * size) {
    batch.add({ at, length: Math.min(perPiece * size, bytes.length - at), segmentSize: size })
  }
  return batch
}

/** A route over a connected socket that notes what it is told. */
export class NotingRoute implements Route {
  socket: UdpSocket
  port = 0
  address = unaddressed
  local = unaddressed
  scope = 0
  singleFrom = Number.POSITIVE_INFINITY
  readonly notes: string[] = []
  /** What `refused` does. */
  mend: () => boolean = () => false

  constructor(socket: UdpSocket) {
    this.socket = socket
  }

  reported(errno: number): void {
    this.notes.push(`reported ${errno}`)
  }

  refused(errno: number): boolean {
    this.notes.push(`refused ${errno}`)
    return this.mend()
  }
}

/** A bound socket and what it gets. Closes with the test. */
export const openSink = (t: Test, flags = 0) => {
  const fd = native.udpOpen(4, flags)
  native.udpBind(fd, loopback, 0, 0)
  native.socketBuffers(fd, 4 << 20, 0)
  t.teardown(() => native.close(fd))
  const receiver = new UdpReceiver()
  const { records } = receiver
  return {
    fd,
    port: native.udpPort(fd),
    /** Datagrams that have come by now. */
    async received(): Promise<Uint8Array[]> {
      const found: Uint8Array[] = []
      for (let quiet = 0; quiet < 3; quiet++) {
        for (let count = receiver.receive(fd); count > 0; count = receiver.receive(fd)) {
          quiet = 0
          for (let record = 0; record < count * Message.words; record += Message.words) {
            const size = receiver.segmentSize(record)
            const end = records[record + Message.at] + records[record + Message.length]
            for (let at = records[record + Message.at]; at < end; at += size) {
              found.push(receiver.bytes.slice(at, Math.min(at + size, end)))
            }
          }
        }
        await sleep(2)
      }
      return found
    },
  }
}

export const connectedTo = (t: Test, port: number): NotingRoute => {
  const fd = native.udpOpen(4, UdpFlag.gro)
  native.udpConnect(fd, loopback, port, 0)
  native.socketBuffers(fd, 0, 4 << 20)
  t.teardown(() => native.close(fd))
  return new NotingRoute({ fd, family: 4 })
}

/** A port on which nobody listens. */
export const closedPort = (): number => {
  const fd = native.udpOpen(4, 0)
  native.udpBind(fd, loopback, 0, 0)
  const port = native.udpPort(fd)
  native.close(fd)
  return port
}

/** A UDP socket on a loopback address; closes with the test, or before. */
export const openPeer = (t: Test, address: Uint8Array, port = 0) => {
  const family = address.length === 4 ? 4 : 6
  const fd = native.udpOpen(family, 8)
  const bound = native.udpBind(fd, address, port, 0)
  if (bound < 0) throw new Error(`udpBind: ${bound}`)
  let open = true
  const close = () => {
    if (open) native.close(fd)
    open = false
  }
  t.teardown(close)
  return { fd, family, port: native.udpPort(fd), close } as const
}

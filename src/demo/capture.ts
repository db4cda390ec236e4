/**
 * A process of the demo: captures the beginning of every IPv4 TCP packet of an interface into a pcap file. On SIGTERM
 * it reads what the socket still has, prints its answer and exits.
 */
import { native, Ready } from '../native.js'
import * as checksum from '../wire/checksum.js'
import { Protocol } from '../wire/ip.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import { Continuity } from './continuity.js'
import type { CaptureJob, CaptureResult } from './jobs.js'
import { answer, runPart, succeeded } from './part.js'
import { PcapWriter } from './pcap.js'

/** Bytes kept of a packet: TCP/IP headers and the demo's own. A multiple of the alignment of `native.readBatch`. */
const snapLength = 128
const batch = 128
/** Batches read per wake-up of the poller. */
const budget = 16
/** Bytes. The kernel counts whole super-packets against it, although only `snapLength` bytes of each are read. */
const receiveBuffer = 64 * 1024 * 1024

/**
 * Completes the TCP checksum of a packet that was captured whole. The capture sees packets before checksum offload, so
 * the field holds only the sum of the pseudo-header. Packets that were cut stay as they are: an analyser cannot check
 * them either.
 */
const completeChecksum = (b: Uint8Array, at: number, tcpAt: number, length: number): void => {
  const tcpLength = length - (tcpAt - at)
  const pseudo = checksum.pseudo4(b, at + ipv4.Offset.source, at + ipv4.Offset.destination, tcpLength)
  tcp.setChecksum(b, tcpAt, 0)
  tcp.setChecksum(b, tcpAt, checksum.finish(checksum.sum(b, tcpAt, tcpLength, pseudo)))
}

await runPart((job: CaptureJob) => {
  const bytes = new Uint8Array(batch * snapLength)
  const arena = native.arenaOpen(bytes)
  const vec = new Int32Array(batch * 2)
  const vecArena = native.arenaOpen(new Uint8Array(vec.buffer))
  const fd = succeeded(native.captureOpen(job.interface, receiveBuffer), `Capturing on ${job.interface}`)
  const pcap = new PcapWriter(job.file, snapLength)
  const continuity = new Continuity()

  const keep = (timeMs: number, at: number, available: number): void => {
    if (available < ipv4.minimumHeaderLength + tcp.headerLength || ipv4.version(bytes, at) !== 4) return
    if (ipv4.protocol(bytes, at) !== Protocol.tcp) return
    const length = ipv4.totalLength(bytes, at)
    const tcpAt = at + ipv4.headerLength(bytes, at)
    if (length <= available) completeChecksum(bytes, at, tcpAt, length)
    continuity.segment(bytes, at, length)
    pcap.add(timeMs, bytes, at, available, length)
  }

  /** Reads up to `budget` batches. True when the socket has nothing left. */
  const drain = (): boolean => {
    for (let i = 0; i < budget; i++) {
      const count = native.readBatch(fd, arena, 0, bytes.length, snapLength, vecArena, 0, batch, -1)
      const timeMs = performance.timeOrigin + performance.now()
      for (let packet = 0; packet < count; packet++) keep(timeMs, vec[packet * 2], vec[packet * 2 + 1])
      if (count < batch) return true
    }
    return false
  }

  const poller = new native.Poller(native.arenaOpen(new Uint8Array(64)), 4, drain)
  succeeded(poller.add(fd, 0, Ready.read), 'epoll')
  process.once('SIGTERM', () => {
    while (!drain());
    poller.close()
    native.close(fd)
    pcap.close()
    const result: CaptureResult = { packets: pcap.packets, gaps: continuity.gaps }
    answer(result)
  })
  console.error('ready')
})

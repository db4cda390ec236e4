/**
 * Captures the TCP packets (IPv4) of an interface into a file, each once, beginnings only. SIGTERM ends it: it reads
 * what is left, and answers.
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

/** Bytes kept of a packet, a multiple of readBatch's alignment: headers, and the demo's own header. */
const snapLength = 128
const batch = 128
/** Batches per wake. */
const budget = 16
/** The kernel counts whole super-packets against it, though little of them is read. */
const receiveBuffer = 64 * 1024 * 1024

/**
 * Completes the TCP checksum of a packet that was captured whole. Packets are captured before the interface would do
 * that, so the field holds the sum of the pseudo-header only. Larger ones stay as they are: an analyser cannot check
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

  /** True when nothing is left. */
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

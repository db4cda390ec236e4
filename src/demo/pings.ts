import { createHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SenderResult } from './jobs.js'
import { headerLength, Kind, kindAt, numberAt, putHeader } from './protocol.js'
import type { UdpPort } from './udp-port.js'

const pingBytes = 64
/** Milliseconds between two pings. */
const intervalMs = 1
/** Milliseconds to wait for pongs after the last ping. */
const pongTimeoutMs = 200
/** Pings before those that count: they warm up the code on their way. */
const warmups = 50

/** Sends a ping every millisecond, and measures the time until its pong is back in this process. */
export const measureRoundTrips = async (
  port: UdpPort,
  count: number,
): Promise<Pick<SenderResult, 'pings' | 'pongs' | 'p50' | 'p99'>> => {
  const sentAt = new Float64Array(warmups + count)
  /** Round trips in nanoseconds. */
  const histogram = createHistogram()
  port.listen((b, at, length) => {
    if (kindAt(b, at, length) !== Kind.pong) return
    const number = numberAt(b, at)
    if (number >= warmups && number < sentAt.length) {
      histogram.record(Math.max(1, Math.round((performance.now() - sentAt[number]) * 1e6)))
    }
  })
  let number = 0
  await new Promise<void>(resolve => {
    const timer = setInterval(() => {
      if (number === sentAt.length) {
        clearInterval(timer)
        resolve()
        return
      }
      const at = port.add(pingBytes)
      port.outgoing.fill(0, at + headerLength, at + pingBytes)
      putHeader(port.outgoing, at, Kind.ping, number)
      sentAt[number++] = performance.now()
      port.flush()
    }, intervalMs)
  })
  await sleep(pongTimeoutMs)
  const milliseconds = (percentile: number): number => histogram.percentile(percentile) / 1e6
  return { pings: count, pongs: histogram.count, p50: milliseconds(50), p99: milliseconds(99) }
}

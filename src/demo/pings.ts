import { createHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SenderResult } from './jobs.js'
import { headerLength, Kind, kindAt, numberAt, putHeader } from './protocol.js'
import type { UdpPort } from './udp-port.js'

const pingBytes = 64
/** Milliseconds between two pings. */
const intervalMs = 1
/** The last ones may take this long. */
const patienceMs = 200
/** Sent before those that count, so that no code runs for the first time. */
const warmups = 50

/** Sends pings, one at a time, and takes their round trips from send to receive in this process. */
export const measureRoundTrips = async (
  port: UdpPort,
  count: number,
): Promise<Pick<SenderResult, 'pings' | 'pongs' | 'p50' | 'p99'>> => {
  const sentAt = new Float64Array(warmups + count)
  /** Nanoseconds. */
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
  await sleep(patienceMs)
  const milliseconds = (percentile: number): number => histogram.percentile(percentile) / 1e6
  return { pings: count, pongs: histogram.count, p50: milliseconds(50), p99: milliseconds(99) }
}

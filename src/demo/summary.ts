import type { CaptureResult, SenderResult } from './jobs.js'
import { largest, smallest } from './layout.js'

/** Results of a demo that has run to its end. */
export interface Outcome {
  readonly sent: SenderResult
  /** SHA-256 of the file that was sent, and of the one that arrived, in hexadecimal. */
  readonly sha256: { readonly sent: string; readonly received: string }
  /** Datagrams that reached the receiver, but not as the sender sent them. */
  readonly damaged: number
  /** Mean number of datagrams per packet that left the client; undefined when it is not known. */
  readonly datagramsPerPacket: number | undefined
  readonly capture: (CaptureResult & { readonly path: string }) | undefined
}

/** Whether the file that arrived is the one that was sent. */
export const matches = ({ sha256 }: Outcome): boolean => sha256.sent === sha256.received

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
const milliseconds = (value: number): string => `${value.toFixed(3)} ms`

/** The text that the demo prints at its end, without a final newline. */
export const summary = (outcome: Outcome): string => {
  const { sent, sha256, damaged, datagramsPerPacket, capture } = outcome
  const bytesPerSecond = sent.bytes / sent.seconds
  const lossPercent = ((100 * sent.lost) / sent.datagrams).toFixed(3)
  const rows: [string, string][] = [
    [
      'sent',
      `${(sent.bytes / 1e6).toFixed(1)} MB in ${whole(sent.datagrams)} datagrams of ${smallest} to ${whole(largest)} bytes`,
    ],
    [
      'throughput',
      `${(bytesPerSecond / 1e6).toFixed(0)} MB/s, ${((bytesPerSecond * 8) / 1e9).toFixed(2)} Gb/s, ` +
        `${whole(sent.datagrams / sent.seconds)} datagrams/s (${sent.seconds.toFixed(2)} s)`,
    ],
    [
      'lost',
      `${whole(sent.lost)} datagrams (${lossPercent} %), ${whole(sent.resent)} resent by the demo${damaged > 0 ? `, ${whole(damaged)} damaged` : ''}`,
    ],
    [
      'round trip',
      sent.pongs === 0
        ? 'no ping came back'
        : `p50 ${milliseconds(sent.p50)}, p99 ${milliseconds(sent.p99)} (${whole(sent.pongs)} of ${whole(sent.pings)} pings, idle tunnel)`,
    ],
  ]
  if (datagramsPerPacket !== undefined) {
    rows.push(['super-packets', `${datagramsPerPacket.toFixed(1)} datagrams each, on average`])
  }
  rows.push(
    matches(outcome)
      ? ['SHA-256', `match, ${sha256.received}`]
      : ['SHA-256', `DIFFERENT: sent ${sha256.sent}, received ${sha256.received}`],
  )
  if (capture !== undefined) {
    const gaps = capture.gaps === 0 ? 'no gap' : `${whole(capture.gaps)} gaps in the stream`
    rows.push(['capture', `${capture.path} (${whole(capture.packets)} TCP packets, ${gaps})`])
  }
  return rows.map(([name, text]) => `${name.padEnd(15)}${text}`).join('\n')
}

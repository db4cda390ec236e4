/**
 * Jobs and results of the demo's processes. A process gets its job as JSON in its only argument, and prints its result
 * as JSON in the last line of its stdout.
 */

export interface DemoJob {
  /** Temporary directory for both copies of the file and the capture; `demo.ts` removes it. */
  readonly directory: string
  /** Absolute path of the file to send; undefined: one is made. */
  readonly file?: string
  /** Size of that file. */
  readonly bytes: number
  /** Absolute path for the capture; undefined: none is made. */
  readonly capture?: string
}

export interface SenderJob {
  readonly file: string
  /** Maximum number of datagrams under way. */
  readonly window: number
  /** Round trips to measure. */
  readonly pings: number
}

/** Line of JSON that the sender prints every 100 ms during the transfer, and once at its end. */
export interface SenderProgress {
  /** Bytes of the file that have arrived or count as lost; the whole file at the end. */
  readonly bytes: number
  /** Time since the first datagram. */
  readonly seconds: number
}

export interface SenderResult {
  /** Size of the file. */
  readonly bytes: number
  /** Datagrams that carry the file, without retransmitted ones. */
  readonly datagrams: number
  /** Time from the first datagram to the report that all have arrived. */
  readonly seconds: number
  /** Datagrams of the file that did not arrive the first time. */
  readonly lost: number
  /** Datagrams that were retransmitted. */
  readonly resent: number
  /** Datagrams that carried neither the file nor a ping. */
  readonly control: number
  /** Pings that count for the round trips, and their answers that came. */
  readonly pings: number
  readonly pongs: number
  /** Median and 99th percentile of the round trips, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

export interface ReceiverJob {
  readonly file: string
  /** Datagrams between two reports. */
  readonly reportEvery: number
}

export interface ReceiverResult {
  readonly bytes: number
  /** SHA-256 of the written file, in hexadecimal. */
  readonly sha256: string
  /** Datagrams that were not of the demo, or not as the sender sent them. */
  readonly foreign: number
}

export interface CaptureJob {
  readonly interface: string
  readonly file: string
}

export interface CaptureResult {
  readonly packets: number
  /** Number of places where the capture lacks a part of a TCP stream. */
  readonly gaps: number
}

/** UDP port of the client, TCP port of the server, UDP port of the receiver. */
export const ports = { client: 4500, server: 4567, receiver: 4600 } as const

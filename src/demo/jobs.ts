/**
 * What the demo's processes are told (JSON, their only argument) and what they answer (JSON, the last line of their
 * stdout).
 */

export interface DemoJob {
  /** For both copies of the file and the capture; removed at the end. */
  readonly directory: string
  /** The file to send; undefined: one is made. */
  readonly file?: string
  /** Size of that file. */
  readonly bytes: number
  /** Absolute path for the capture, undefined: none. */
  readonly capture?: string
}

export interface SenderJob {
  readonly file: string
  /** Most datagrams under way. */
  readonly window: number
  /** Round trips to measure. */
  readonly pings: number
}

/** Now and then while it sends; one JSON line. */
export interface SenderProgress {
  /** Of the file, at the other side; all of it once the transfer is over. */
  readonly bytes: number
  /** Since the first datagram. */
  readonly seconds: number
}

export interface SenderResult {
  readonly bytes: number
  /** That carry the file, without what was sent again. */
  readonly datagrams: number
  /** From the first datagram to the news that all have arrived. */
  readonly seconds: number
  readonly lost: number
  readonly resent: number
  /** Datagrams that carried neither the file nor a ping. */
  readonly control: number
  readonly pings: number
  readonly pongs: number
  /** Round trips, in milliseconds. */
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
  /** Datagrams that were not of the demo, or not as they were sent. */
  readonly foreign: number
}

export interface CaptureJob {
  readonly interface: string
  readonly file: string
}

export interface CaptureResult {
  readonly packets: number
  /** Places where the capture lacks a part of the stream. */
  readonly gaps: number
}

/** Where the pieces meet: the tunnel's ends and the receiver, each on its side. */
export const ports = { client: 4500, server: 4567, receiver: 4600 } as const

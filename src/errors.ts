/**
 * Codes of the errors that the library throws on purpose. They are stable. What builds on the library has codes of its
 * own besides.
 */
export const ErrorCode = {
  /** An argument is malformed or out of range. */
  INVALID_ARGUMENT: 'ERR_FAKE_TCP_INVALID_ARGUMENT',
  /** The addon was not built, or for another machine. */
  ADDON: 'ERR_FAKE_TCP_ADDON',
  /** /dev/net/tun is missing. */
  NO_TUN: 'ERR_FAKE_TCP_NO_TUN',
  /** CAP_NET_ADMIN is missing. */
  PERMISSION: 'ERR_FAKE_TCP_PERMISSION',
  /** The interface name is taken. */
  NAME_TAKEN: 'ERR_FAKE_TCP_NAME_TAKEN',
  /** An address for the interface is in use on this machine already. */
  ADDRESS_TAKEN: 'ERR_FAKE_TCP_ADDRESS_TAKEN',
  /** IPv6 was asked for, and is switched off on this machine. */
  NO_IPV6: 'ERR_FAKE_TCP_NO_IPV6',
  /** The device refused a setting, or is gone. */
  DEVICE: 'ERR_FAKE_TCP_DEVICE',
  PORT_TAKEN: 'ERR_FAKE_TCP_PORT_TAKEN',
  PORTS_EXHAUSTED: 'ERR_FAKE_TCP_PORTS_EXHAUSTED',
  /** Every slot of the flow table is in use. */
  TABLE_FULL: 'ERR_FAKE_TCP_TABLE_FULL',
  CONNECT_TIMEOUT: 'ERR_FAKE_TCP_CONNECT_TIMEOUT',
  CONNECT_REFUSED: 'ERR_FAKE_TCP_CONNECT_REFUSED',
  /** There is not enough memory, or address space, for the stack. */
  MEMORY: 'ERR_FAKE_TCP_MEMORY',
  /** The address family has no address on this stack. */
  NO_ADDRESS: 'ERR_FAKE_TCP_NO_ADDRESS',
  DATAGRAM_SIZE: 'ERR_FAKE_TCP_DATAGRAM_SIZE',
  CLOSED: 'ERR_FAKE_TCP_CLOSED',
  /** The connection was given to another thread. */
  TRANSFERRED: 'ERR_FAKE_TCP_TRANSFERRED',
  /** Sockets of the stack are attached in as many threads as it has room for. */
  CONSUMERS_EXHAUSTED: 'ERR_FAKE_TCP_CONSUMERS_EXHAUSTED',
  ABORTED: 'ABORT_ERR',
  /** A queue worker failed, or a service could not start in it. */
  WORKER: 'ERR_FAKE_TCP_WORKER',
} as const

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

/** A code of the library, or of what builds on it: the tunnel, the demo, somebody's service. */
export type AnyErrorCode = typeof ErrorCode.ABORTED | `ERR_FAKE_TCP_${string}`

/** Every error that fake-tcp throws on purpose. `message` is one sentence that says what happened and what to do. */
export class FakeTcpError extends Error {
  /** Meant for programs, to be compared as a whole. */
  readonly code: AnyErrorCode

  constructor(code: AnyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FakeTcpError'
    this.code = code
  }
}

/** Whether the kernel refused something that a function of Node.js asked for. */
export const isSystemError = (error: unknown): boolean =>
  error instanceof Error && 'errno' in error && typeof error.errno === 'number'

export const invalid = (message: string): FakeTcpError => new FakeTcpError(ErrorCode.INVALID_ARGUMENT, message)

/** For a datagram of `length` bytes, where a connection carries 1 to `most`. */
export const sizeError = (most: number, length: number): FakeTcpError =>
  new FakeTcpError(ErrorCode.DATAGRAM_SIZE, `A datagram on this connection has 1 to ${most} bytes, not ${length}.`)

/** What `signal` was aborted with, as a FakeTcpError with the code every Node.js API uses for it. */
export const aborted = (signal: AbortSignal): FakeTcpError =>
  new FakeTcpError(ErrorCode.ABORTED, 'The operation was aborted.', { cause: signal.reason })

/**
 * Codes of the errors that the library throws on purpose. They are stable. The tunnel, the demo and services define
 * further codes.
 */
export const ErrorCode = {
  /** An argument is malformed or out of range. */
  INVALID_ARGUMENT: 'ERR_FAKE_TCP_INVALID_ARGUMENT',
  /** The native addon was not built, or was built for another machine. */
  ADDON: 'ERR_FAKE_TCP_ADDON',
  /** /dev/net/tun is missing. */
  NO_TUN: 'ERR_FAKE_TCP_NO_TUN',
  /** CAP_NET_ADMIN is missing. */
  PERMISSION: 'ERR_FAKE_TCP_PERMISSION',
  /** The interface name is taken. */
  NAME_TAKEN: 'ERR_FAKE_TCP_NAME_TAKEN',
  /** An address for the interface is in use on this machine already. */
  ADDRESS_TAKEN: 'ERR_FAKE_TCP_ADDRESS_TAKEN',
  /** IPv6 addresses were given, and IPv6 is switched off on this machine. */
  NO_IPV6: 'ERR_FAKE_TCP_NO_IPV6',
  /** The kernel refused something that the stack needs (a device setting, a descriptor), or the device is gone. */
  DEVICE: 'ERR_FAKE_TCP_DEVICE',
  /** Another listener or service of this stack has the port. */
  PORT_TAKEN: 'ERR_FAKE_TCP_PORT_TAKEN',
  /** No local port is free for a connection to this remote address and port. */
  PORTS_EXHAUSTED: 'ERR_FAKE_TCP_PORTS_EXHAUSTED',
  /** Every slot of the flow table is in use. */
  TABLE_FULL: 'ERR_FAKE_TCP_TABLE_FULL',
  /** The peer did not answer within `ConnectOptions.timeout`. */
  CONNECT_TIMEOUT: 'ERR_FAKE_TCP_CONNECT_TIMEOUT',
  /** The peer answered the SYN with RST. */
  CONNECT_REFUSED: 'ERR_FAKE_TCP_CONNECT_REFUSED',
  /** There is not enough memory, or address space, for the stack. */
  MEMORY: 'ERR_FAKE_TCP_MEMORY',
  /** The stack has no address of the remote address's family. */
  NO_ADDRESS: 'ERR_FAKE_TCP_NO_ADDRESS',
  /** A datagram is empty, or larger than its connection carries. */
  DATAGRAM_SIZE: 'ERR_FAKE_TCP_DATAGRAM_SIZE',
  /** The stack, the listener or the connection is closed. */
  CLOSED: 'ERR_FAKE_TCP_CLOSED',
  /** The connection was transferred to another thread. */
  TRANSFERRED: 'ERR_FAKE_TCP_TRANSFERRED',
  /** As many other threads hold sockets of this stack as `StackOptions.consumers` allows. */
  CONSUMERS_EXHAUSTED: 'ERR_FAKE_TCP_CONSUMERS_EXHAUSTED',
  /** The caller's `AbortSignal` was aborted. */
  ABORTED: 'ABORT_ERR',
  /** A queue worker failed, or a service could not start in it. */
  WORKER: 'ERR_FAKE_TCP_WORKER',
} as const

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

/** A code of the library, or of what builds on it: the tunnel, the demo, a service. */
export type AnyErrorCode = typeof ErrorCode.ABORTED | `ERR_FAKE_TCP_${string}`

/** Every error that fake-tcp throws on purpose. `message` is one sentence that says what happened and what to do. */
export class FakeTcpError extends Error {
  /** For programs. Compare the whole string. */
  readonly code: AnyErrorCode

  constructor(code: AnyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FakeTcpError'
    this.code = code
  }
}

/** Whether this is the error of a Node.js function whose system call failed. */
export const isSystemError = (error: unknown): boolean =>
  error instanceof Error && 'errno' in error && typeof error.errno === 'number'

export const invalid = (message: string): FakeTcpError => new FakeTcpError(ErrorCode.INVALID_ARGUMENT, message)

/** The error for a datagram of `length` bytes on a connection that carries 1 to `max`. */
export const sizeError = (max: number, length: number): FakeTcpError =>
  new FakeTcpError(ErrorCode.DATAGRAM_SIZE, `A datagram on this connection has 1 to ${max} bytes, not ${length}.`)

/**
 * The error for an aborted call. Its code is the one that every Node.js API uses; its `cause` is the signal's reason.
 */
export const aborted = (signal: AbortSignal): FakeTcpError =>
  new FakeTcpError(ErrorCode.ABORTED, 'The operation was aborted.', { cause: signal.reason })

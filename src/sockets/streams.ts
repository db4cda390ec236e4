/** What a stream needs from a socket. */
interface Datagrams {
  recv(): Promise<Uint8Array | undefined>
  send(datagram: Uint8Array): void
  close(): Promise<void>
}

/**
 * Datagrams that a writer may write before the event loop gets a turn. Without a limit it could starve everything else.
 */
const writesPerTurn = 256

/**
 * A stream of the socket's datagrams, one per chunk. It takes a datagram only when its reader asks for one; until then
 * the datagrams wait in the socket's receive queue. Cancelling the stream closes the socket.
 */
export const readableOf = (socket: Datagrams): ReadableStream<Uint8Array> =>
  new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const datagram = await socket.recv()
        if (datagram === undefined) controller.close()
        else controller.enqueue(datagram)
      },
      cancel: () => socket.close(),
    },
    { highWaterMark: 0 },
  )

/** A stream that sends one datagram per chunk. Closing or aborting the stream closes the socket. */
export const writableOf = (socket: Datagrams): WritableStream<Uint8Array> => {
  let written = 0
  return new WritableStream<Uint8Array>({
    write(datagram) {
      socket.send(datagram)
      if (++written % writesPerTurn === 0) return new Promise<void>(resolve => setImmediate(resolve))
      return undefined
    },
    close: () => socket.close(),
    abort: () => socket.close(),
  })
}

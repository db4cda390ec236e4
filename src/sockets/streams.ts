/** What a stream needs of a socket. */
interface Datagrams {
  recv(): Promise<Uint8Array | undefined>
  send(datagram: Uint8Array): void
  close(): Promise<void>
}

/** Datagrams written before the event loop gets a turn: a writer that never waits would starve everything else. */
const writesPerTurn = 256

/**
 * The socket's datagrams, one per chunk, taken only when the reader asks: what it leaves waits in the socket's bounded
 * queue. Cancelling closes the socket.
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

/** Takes one datagram per chunk. Closing or aborting it closes the socket. */
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

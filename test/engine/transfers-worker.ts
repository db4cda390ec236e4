/** A thread that attaches sockets and does with them what it is told (transfers.test.ts). */
import { parentPort } from 'node:worker_threads'
import { type FakeTcpError, Socket, type SocketHandle } from '../../src/index.js'

export type TransferTask =
  | { kind: 'attach'; handle: SocketHandle }
  /** Read until `count` datagrams are there; -1: until the connection ends. */
  | { kind: 'take'; count: number }
  /** Sends every datagram back, for ever. */
  | { kind: 'echo' }
  /** Keeps the thread busy for so many milliseconds; answers as it begins. */
  | { kind: 'block'; ms: number }
  | { kind: 'transfer' }
  | { kind: 'close' }
  | { kind: 'closed' }

export type TransferAnswer =
  | { kind: 'done' }
  | { kind: 'failed'; code: string }
  | { kind: 'taken'; datagrams: Uint8Array[] }
  | { kind: 'handle'; handle: SocketHandle }
  | { kind: 'closed'; reason: string }

let socket: Socket

const echo = async (): Promise<void> => {
  for await (const { bytes, segmentSize } of socket.batches()) socket.sendBatch(bytes, segmentSize)
}

const handle = async (task: TransferTask): Promise<TransferAnswer> => {
  switch (task.kind) {
    case 'attach':
      socket = await Socket.attach(task.handle)
      return { kind: 'done' }
    case 'take': {
      const datagrams: Uint8Array[] = []
      while (datagrams.length !== task.count) {
        const datagram = await socket.recv()
        if (datagram === undefined) break
        datagrams.push(datagram)
      }
      return { kind: 'taken', datagrams }
    }
    case 'echo':
      void echo()
      return { kind: 'done' }
    case 'block':
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, task.ms))
      return { kind: 'done' }
    case 'transfer':
      return { kind: 'handle', handle: socket.transfer() }
    case 'close':
      await socket.close()
      return { kind: 'done' }
    case 'closed':
      return { kind: 'closed', reason: (await socket.closed).reason }
  }
}

parentPort!.on('message', (task: TransferTask) => {
  handle(task).then(
    answer => parentPort!.postMessage(answer),
    (error: FakeTcpError) => parentPort!.postMessage({ kind: 'failed', code: error.code } satisfies TransferAnswer),
  )
})

/**
 * A transfer to a worker thread: the main thread accepts a connection and gives it to another thread, which reads it
 * from then on. Its datagrams go to that thread directly; the main thread does not see them.
 *
 *     npm run build:ts && node dist/examples/transfer.js
 */
import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { createVirtualLink, Socket, type SocketHandle, Stack } from 'fake-tcp'

const main = async (): Promise<void> => {
  const [a, b] = createVirtualLink()
  const [client, server] = await Promise.all([Stack.open({ device: a }), Stack.open({ device: b })])
  const listener = server.listen(4567)
  const [socket, accepted] = await Promise.all([client.connect(server.address!, 4567), listener.accept()])

  // What has arrived and was not read goes along.
  socket.send(Buffer.from('sent before the transfer'))
  const worker = new Worker(new URL(import.meta.url))
  worker.postMessage(accepted.transfer())

  const [answer] = await Promise.all([socket.recv(), once(worker, 'message')])
  console.log(Buffer.from(answer!).toString())
  socket.send(Buffer.from('sent after it'))
  console.log(Buffer.from((await socket.recv())!).toString())

  const ended = once(worker, 'exit')
  await socket.close()
  await ended
  console.log('the worker has ended')
  await Promise.all([client.close(), server.close()])
}

const worker = async (): Promise<void> => {
  const [handle] = (await once(parentPort!, 'message')) as [SocketHandle]
  const socket = await Socket.attach(handle)
  parentPort!.postMessage('attached')
  for await (const datagram of socket) {
    socket.send(Buffer.from(`the worker got "${Buffer.from(datagram).toString()}"`))
  }
}

await (isMainThread ? main() : worker())

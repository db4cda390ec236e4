/** A thread that takes connections. It closes every other one when its first datagram is there. */
import { parentPort } from 'node:worker_threads'
import { Socket, type SocketHandle } from '../../src/index.js'

let number = 0

const take = async (handle: SocketHandle): Promise<void> => {
  const hangsUp = number++ % 2 === 0
  try {
    const socket = await Socket.attach(handle)
    await socket.recv()
    if (hangsUp) await socket.close()
  } catch {
    // The peer closed the connection while it was on its way to this thread.
  }
}

parentPort!.on('message', (message: SocketHandle | 'stop') => {
  if (message === 'stop') process.exit()
  void take(message)
})

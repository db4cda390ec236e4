/** A CommonJS program: it loads the package by `import()`, and takes its types as an ES module's. */
import type { Socket } from 'fake-tcp' with { 'resolution-mode': 'import' }

const echo = async (socket: Socket): Promise<void> => {
  for await (const datagram of socket) socket.send(datagram)
}

const main = async (): Promise<void> => {
  const { createVirtualLink, Stack } = await import('fake-tcp')
  const [a, b] = createVirtualLink()
  const [client, server] = [await Stack.open({ device: a }), await Stack.open({ device: b })]
  const listener = server.listen(7)
  const [socket, accepted] = await Promise.all([client.connect(server.address!, 7), listener.accept()])
  void echo(accepted)
  socket.send(new Uint8Array(3))
  console.log((await socket.recv())?.length)
  await Promise.all([client.close(), server.close()])
}

void main()

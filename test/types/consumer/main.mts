/** A program in TypeScript that uses all of the package, as an ES module. It is compiled, never run. */
import {
  type Closed,
  type CloseReason,
  type ConnectOptions,
  type CounterRow,
  createVirtualLink,
  type DatagramBatch,
  type Device,
  type DiagnosticsChannel,
  type DiagnosticsPayloads,
  ErrorCode,
  type EventLog,
  FakeTcpError,
  type Listener,
  type ListenOptions,
  Socket,
  type SocketHandle,
  type SocketStats,
  Stack,
  type StackOptions,
  type StackStats,
  type TunOptions,
} from 'fake-tcp'
import {
  type ClientOptions,
  type ServerOptions,
  startClient,
  startServer,
  type Tunnel,
  TunnelErrorCode,
  type TunnelStatus,
} from 'fake-tcp/tunnel'

const log: EventLog = {
  debug() {},
  info: (fields, text) => console.log(text, fields.event),
  warn: (fields, text) => console.log(text, fields),
  error: (fields, text) => console.log(text, fields),
}
const tun: TunOptions = { name: 'tun7', hostAddress: '192.168.200.1', stackAddress: '192.168.200.2', queues: 2 }
const devices: [Device, Device] = createVirtualLink({ mtu: 9_000, queues: 2 })
const options: StackOptions = { device: devices[0], keepalive: { interval: 1_000, probes: 3 }, logger: log }
const ownConsole: StackOptions = { tun, logger: console }

export const talk = async (port: number): Promise<CloseReason> => {
  await using stack = await Stack.open(options)
  const listening: ListenOptions = { backlog: 1 }
  await using listener: Listener = stack.listen(port, listening)
  const connecting: ConnectOptions = { timeout: 1_000, signal: AbortSignal.timeout(500) }
  const socket: Socket = await stack.connect('192.0.2.1', listener.port, connecting)
  try {
    socket.send(new Uint8Array(1))
    const written: number = socket.sendBatch(new Uint8Array(2_800), 1_400)
    const datagram: Uint8Array | undefined = await socket.recv({ signal: connecting.signal! })
    const length: number | undefined = await socket.recvInto(datagram ?? new Uint8Array(written))
    console.log(length, socket.tryRecvInto(new Uint8Array(1)))
    for await (const each of socket) console.log(each.length)
    for await (const { bytes, segmentSize, count } of socket.batches() satisfies AsyncIterable<DatagramBatch>) {
      console.log(bytes.byteLength, segmentSize, count)
    }
    const reader: ReadableStreamDefaultReader<Uint8Array> = socket.readable.getReader()
    console.log((await reader.read()).value?.length)
    await socket.writable.getWriter().write(new Uint8Array(1))
  } catch (error) {
    if (error instanceof FakeTcpError && error.code === ErrorCode.CLOSED) console.log(error.message)
  }
  const { dropped }: SocketStats = socket.stats()
  const { total, features }: StackStats = stack.stats()
  const { traffic, drops, services } = total
  console.log(dropped, traffic.datagramsIn, drops.unknownTuple, services.traffic.greeted, features.steering.reason)
  // @ts-expect-error: no counter has this name.
  console.log(drops.unknownTuples)
  const handle: SocketHandle = socket.transfer()
  const closed: Closed = await (await Socket.attach(handle)).closed
  return closed.reason
}

const counters: readonly CounterRow<'greeted'>[] = [
  { name: 'greeted', kind: 'traffic', unit: 'connection', text: 'Connections that were greeted.' },
]

export const serve = (stack: Stack): Promise<void> =>
  stack.serve(4567, new URL('./service.mjs', import.meta.url), { workerData: { greeting: 'hello' }, counters })

export const describe = <Name extends DiagnosticsChannel>(name: Name, payload: DiagnosticsPayloads[Name]): string =>
  `${name} on ${payload.device}`

export const closedBy = ({ reason, remotePort }: DiagnosticsPayloads['fake-tcp:connection:closed']): string =>
  `${remotePort} ${reason satisfies CloseReason}`

export const tunnels = async (): Promise<string> => {
  const tun = { hostAddress: '192.168.200.1', stackAddress: '192.168.200.2' }
  const client: ClientOptions = { tun, logger: log, local: '127.0.0.1:4500', remote: '192.0.2.1:4567', idleMs: 10_000 }
  const server: ServerOptions = { local: 4567, remote: '127.0.0.1:51820', keepalive: null, coalesceUs: 10 }
  const both: Tunnel[] = [await startClient(client), await startServer(server)]
  const stati: TunnelStatus[] = both.map(tunnel => tunnel.status())
  await Promise.all(both.map(tunnel => tunnel.close()))
  await Promise.all(both.map(({ closed }) => closed))
  return stati.map(({ role, remote, udp, stats }) => `${role} ${remote} ${udp.gro} ${stats.device}`).join()
}

export const isTaken = (error: unknown): boolean =>
  error instanceof FakeTcpError && (error.code === TunnelErrorCode.UDP || error.code === ErrorCode.PORT_TAKEN)

// @ts-expect-error: it follows from `maxFlows`.
export const tooMuch: ClientOptions = { local: '127.0.0.1:4500', remote: '192.0.2.1:4567', maxConnections: 5 }

// @ts-expect-error: one of `debug`, `info`, `warn` and `error` is missing.
export const tooLittle: StackOptions = { ...ownConsole, logger: { info() {}, warn() {}, error() {} } }

import t from 'tap'
import type { Acceptor } from '../../src/engine/acceptor.js'
import { choosePort, ephemeral, Ports, queueOf } from '../../src/engine/ports.js'
import { type NewFlow, TupleTable } from '../../src/engine/tuple-table.js'
import { ErrorCode } from '../../src/errors.js'
import { FlowTable, State } from '../../src/memory/flow-table.js'
import { listeningPorts } from '../../src/memory/shared-stack.js'
import { TupleIndex } from '../../src/memory/tuple-index.js'
import { parseAddress } from '../../src/net/address.js'
import type { Device } from '../../src/net/device.js'

const remote = parseAddress('192.0.2.1', 'remote')
const remotePort = 80

const acceptor: Acceptor = {
  admits: () => true,
  user: queue => ({ consumer: queue, service: 0, token: 0 }),
  accepted: () => {},
}

const open = ({ queues = 1, steered = false, capacity = 16 } = {}) => {
  const flows = FlowTable.allocate(capacity)
  const table = new TupleTable(flows, TupleIndex.allocate(flows, 12_345))
  const listening = new Int32Array(listeningPorts.bytes / 4)
  const device = { queues: new Array(queues).fill(0), steered } as unknown as Device
  return {
    ports: new Ports(device, table, listening),
    isListening: (port: number) => listeningPorts.isListening(listening, port),
    /** A connection of ours exists. */
    connect: (localPort: number) =>
      table.add(
        {
          remote,
          remotePort,
          localPort,
          state: State.established,
          homeQueue: 0,
          consumer: 1,
          maxDatagram: 1460,
          service: -1,
          token: 0,
          nextSeq: 1,
          nextAck: 1,
        } satisfies NewFlow,
        0,
      ),
    /** It ends at that time, in milliseconds. */
    disconnect: (slot: number, localPort: number, now: number) =>
      table.remove(slot, remote, remotePort, localPort, now),
  }
}

t.test('a port has one acceptor, and the workers know which ports have one', async t => {
  const { ports, isListening } = open()
  t.equal(ports.acceptor(80), undefined)
  ports.take(80, acceptor)
  t.equal(ports.acceptor(80), acceptor)
  t.strictSame([79, 80, 81].map(isListening), [false, true, false])
  t.throws(() => ports.checkFree(80), { code: ErrorCode.PORT_TAKEN })
  t.throws(() => ports.take(80, acceptor), { code: ErrorCode.PORT_TAKEN })
  ports.checkFree(81)
  ports.release(80)
  t.strictSame([ports.acceptor(80), isListening(80)], [undefined, false])
  ports.take(80, acceptor)
  ports.take(65_535, acceptor)
  ports.releaseAll()
  t.strictSame([80, 65_535].map(isListening), [false, false])
  ports.take(80, acceptor)
})

t.test('any usable port may be chosen, and one that is left is found', async t => {
  const { first, last } = ephemeral
  t.same([first, last], [32_768, 60_999])
  const starts = new Set(Array.from({ length: 50 }, () => choosePort(() => true)))
  t.ok(starts.size > 40, 'the search starts anywhere')
  for (const only of [first, first + 1, 50_000, last]) {
    const chosen = choosePort(port => port === only)
    t.equal(chosen, only)
  }
  const asked: number[] = []
  const none = choosePort(port => {
    asked.push(port)
    return false
  })
  t.equal(none, -1)
  t.equal(asked.length, last - first + 1)
  t.equal(new Set(asked).size, asked.length, 'each was looked at once')
  t.ok(asked.every(port => port >= first && port <= last))
})

t.test('a connection gets a port whose packets arrive on the queue that was wanted', async t => {
  const { ports } = open({ queues: 4, steered: true })
  for (const wanted of [0, 1, 2, 3]) {
    const { localPort, queue } = ports.choose(remote, remotePort, wanted, 0)
    t.equal(queue, wanted)
    t.equal(queueOf(localPort, remotePort, 4), wanted)
  }
})

t.test('where nothing is steered any port will do', async t => {
  const { ports } = open({ queues: 4 })
  const chosen = Array.from({ length: 50 }, () => ports.choose(remote, remotePort, 3, 0))
  t.ok(chosen.every(({ queue }) => queue === 3))
  t.ok(new Set(chosen.map(({ localPort }) => queueOf(localPort, remotePort, 4))).size > 1)
})

/** Listens on every ephemeral port but those. */
const leaveOnly = (ports: Ports, ...left: number[]): void => {
  for (let port = ephemeral.first; port <= ephemeral.last; port++) if (!left.includes(port)) ports.take(port, acceptor)
}

t.test('without a port on the wanted queue it gets one on another, and is told', async t => {
  const { ports } = open({ queues: 2, steered: true })
  const [even, odd] = [40_000, 40_001]
  leaveOnly(ports, even, odd)
  t.strictSame(ports.choose(remote, remotePort, 1, 0), { localPort: odd, queue: 1 })
  ports.take(odd, acceptor)
  t.strictSame(ports.choose(remote, remotePort, 1, 0), { localPort: even, queue: 0 })
})

t.test('a port that has a connection to the same place is not free, and rests after its end', async t => {
  const { ports, connect, disconnect } = open()
  const port = 40_000
  leaveOnly(ports, port)
  t.strictSame(ports.choose(remote, remotePort, 0, 0), { localPort: port, queue: 0 })
  const slot = connect(port).slot
  t.throws(() => ports.choose(remote, remotePort, 0, 0), {
    code: ErrorCode.PORTS_EXHAUSTED,
    message: /192\.0\.2\.1:80/,
  })
  t.equal(ports.choose(remote, remotePort + 1, 0, 0).localPort, port, 'another port there is another tuple')
  t.equal(ports.choose(parseAddress('192.0.2.2', 'remote'), remotePort, 0, 0).localPort, port, 'so is another host')
  disconnect(slot, port, 1_000)
  t.throws(() => ports.choose(remote, remotePort, 0, 3_999), { code: ErrorCode.PORTS_EXHAUSTED })
  t.equal(ports.choose(remote, remotePort, 0, 4_000).localPort, port)
})

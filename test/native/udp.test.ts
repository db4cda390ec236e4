import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Message, native, UdpFlag } from '../../src/native.js'
import { failure, sharedArena } from '../support/native.js'
import { randomBytes } from '../support/random.js'

const EFAULT = failure('EFAULT')
const EINVAL = failure('EINVAL')
const families = [4, 6] as const
type Family = (typeof families)[number]

const loopback = { 4: Uint8Array.of(127, 0, 0, 1), 6: Uint8Array.from({ length: 16 }, (_, i) => Number(i === 15)) }
const anywhere = { 4: new Uint8Array(4), 6: new Uint8Array(16) }
/** An address as it lies in a record. */
const recorded = (address: Uint8Array) => [...address, ...new Uint8Array(16 - address.length)]

const memory = sharedArena(1 << 20)
const vec = sharedArena(1 << 16)
const vecBytes = vec.bytes

const open = (family: Family, flags = 0, address = loopback[family]) => {
  const fd = native.udpOpen(family, flags)
  const bound = native.udpBind(fd, address, 0, 0)
  if (fd < 0 || bound < 0) throw new Error(`udpOpen: ${fd}, udpBind: ${bound}`)
  return { fd, port: native.udpPort(fd) }
}

const readRecord = (at: number) => ({
  at: vec.words[at + Message.at],
  length: vec.words[at + Message.length],
  segmentSize: vec.words[at + Message.segmentSize],
  port: vec.words[at + Message.port],
  address: [...vecBytes.subarray(4 * (at + Message.address), 4 * (at + Message.address) + 16)],
  local: [...vecBytes.subarray(4 * (at + Message.local), 4 * (at + Message.local) + 16)],
  scope: vec.words[at + Message.scope],
  truncated: vec.words[at + Message.truncated],
  copies: vec.words[at + Message.copies],
})

const writeRecord = (
  at: number,
  {
    pieceAt,
    pieces,
    segmentSize = 0,
    port = 0,
    address = new Uint8Array(0),
    local = new Uint8Array(0),
  }: {
    pieceAt: number
    pieces: number
    segmentSize?: number
    port?: number
    address?: Uint8Array
    local?: Uint8Array
  },
) => {
  vec.words.fill(0, at, at + Message.words)
  vec.words.set([pieceAt, pieces, segmentSize, port], at)
  vecBytes.set(address, 4 * (at + Message.address))
  vecBytes.set(local, 4 * (at + Message.local))
}

/** Sends one datagram of these pieces of `memory`. */
const send = (
  fd: number,
  family: Family,
  pieces: number[],
  to: Omit<Parameters<typeof writeRecord>[1], 'pieceAt' | 'pieces'>,
) => {
  vec.words.set(pieces, 1000)
  writeRecord(0, { pieceAt: 1000, pieces: pieces.length / 2, ...to })
  return native.udpSend(fd, family, memory.arena, vec.arena, 0, 1)
}

/** Waits up to two seconds for messages; the answer of the call that found some. */
const receive = async (fd: number, stride = 65536, max = 8, at = 1 << 19) => {
  for (let i = 0; i < 200; i++) {
    const result = native.udpReceive(fd, memory.arena, at, stride, max, vec.arena, 4096)
    if (result !== 0) return result
    await sleep(10)
  }
  return 0
}

memory.bytes.set(randomBytes(1 << 18, 1))

for (const family of families) {
  t.test(`IPv${family}: plain datagrams`, async t => {
    const a = open(family)
    const b = open(family, UdpFlag.packetInfo)
    t.ok(a.port > 0 && a.port !== b.port)
    t.equal(native.udpReceive(b.fd, memory.arena, 0, 100, 1, vec.arena, 0), 0, 'nothing there')
    t.equal(send(a.fd, family, [5, 100, 1000, 0, 200, 23], { port: b.port, address: loopback[family] }), 1)
    t.equal(await receive(b.fd), 1)
    t.match(readRecord(4096), {
      at: 1 << 19,
      length: 123,
      segmentSize: 0,
      port: a.port,
      address: recorded(loopback[family]),
      local: recorded(loopback[family]),
      scope: 0,
      truncated: 0,
    })
    const received = memory.bytes.slice(1 << 19, (1 << 19) + 123)
    t.same(received, new Uint8Array([...memory.bytes.slice(5, 105), ...memory.bytes.slice(200, 223)]))

    t.equal(send(a.fd, family, [], { port: b.port, address: loopback[family] }), 1, 'an empty datagram')
    t.equal(await receive(b.fd), 1)
    t.equal(readRecord(4096).length, 0)

    t.equal(send(a.fd, family, [0, 200], { port: b.port, address: loopback[family] }), 1)
    t.equal(await receive(b.fd, 150), 1)
    t.match(readRecord(4096), { length: 150, truncated: 1 })
    for (const { fd } of [a, b]) t.equal(native.close(fd), 0)
  })

  t.test(`IPv${family}: many at once`, async t => {
    const a = open(family)
    const b = open(family)
    t.equal(native.socketBuffers(b.fd, 1 << 20, 1 << 20), 0)
    for (let i = 0; i < 256; i++) {
      vec.words.set([i * 100, i + 1], 8192 + 2 * i)
      writeRecord(i * Message.words, { pieceAt: 8192 + 2 * i, pieces: 1, port: b.port, address: loopback[family] })
    }
    t.equal(native.udpSend(a.fd, family, memory.arena, vec.arena, 0, 256), 256)
    let count = 0
    for (let result = 0; count < 256; count += result) {
      result = await receive(b.fd, 300, 256)
      if (result <= 0) break
      for (let i = 0; i < result; i++) {
        const { at, length } = readRecord(4096 + i * Message.words)
        const expected = memory.bytes.subarray((count + i) * 100, (count + i) * 100 + count + i + 1)
        if (at !== (1 << 19) + i * 300 || Buffer.compare(memory.bytes.subarray(at, at + length), expected))
          t.fail(`${i}`)
      }
    }
    t.equal(count, 256)
    for (const { fd } of [a, b]) native.close(fd)
  })

  t.test(`IPv${family}: segmentation offload`, async t => {
    const a = open(family)
    const merging = open(family, UdpFlag.gro)
    const plain = open(family)
    for (const { fd, port } of [merging, plain]) {
      t.equal(send(a.fd, family, [0, 5000, 7000, 4500], { port, address: loopback[family], segmentSize: 1000 }), 1)
      const expected = new Uint8Array([...memory.bytes.slice(0, 5000), ...memory.bytes.slice(7000, 11500)])
      const received: Uint8Array[] = []
      let merged = 0
      while (Buffer.concat(received).length < expected.length) {
        const result = await receive(fd)
        if (result <= 0) return t.fail(`udpReceive: ${result}`)
        for (let i = 0; i < result; i++) {
          const { at, length, segmentSize } = readRecord(4096 + i * Message.words)
          received.push(memory.bytes.slice(at, at + length))
          merged = Math.max(merged, segmentSize)
        }
      }
      t.same(new Uint8Array(Buffer.concat(received)), expected)
      t.equal(received.length, fd === merging.fd ? 1 : 10)
      t.equal(merged, fd === merging.fd ? 1000 : 0)
    }
    t.equal(send(a.fd, family, [0, 500], { port: plain.port, address: loopback[family], segmentSize: 500 }), 1)
    t.equal(await receive(plain.fd), 1, 'one segment needs no cutting')
    for (const { fd } of [a, merging, plain]) native.close(fd)
  })

  t.test(`IPv${family}: connected`, async t => {
    const a = open(family)
    const b = open(family)
    t.equal(native.udpConnect(a.fd, loopback[family], b.port, 0), 0)
    t.equal(send(a.fd, family, [0, 10], {}), 1)
    t.equal(await receive(b.fd), 1)
    t.match(readRecord(4096), { length: 10, port: a.port })
    native.close(b.fd)
    t.equal(send(a.fd, family, [0, 10], {}), 1)
    t.equal(await receive(a.fd), failure('ECONNREFUSED'))
    native.close(a.fd)
  })
}

t.test('the source address of an answer', async t => {
  const second = Uint8Array.of(127, 0, 0, 2)
  const mapped = (address: Uint8Array) => Uint8Array.of(...new Uint8Array(10), 255, 255, ...address)
  const a = open(4, UdpFlag.packetInfo)
  const any = open(4, UdpFlag.packetInfo, anywhere[4])
  t.equal(send(a.fd, 4, [0, 10], { port: any.port, address: second }), 1)
  t.equal(await receive(any.fd), 1)
  t.same(readRecord(4096).local, recorded(second))
  t.equal(send(any.fd, 4, [0, 10], { port: a.port, address: loopback[4], local: second }), 1)
  t.equal(await receive(a.fd), 1)
  t.match(readRecord(4096), { address: recorded(second), local: recorded(loopback[4]), port: any.port })

  const dual = open(6, UdpFlag.packetInfo | UdpFlag.gro, anywhere[6])
  t.equal(send(a.fd, 4, [0, 2500], { port: dual.port, address: second, segmentSize: 1000 }), 1)
  t.equal(await receive(dual.fd), 1)
  t.match(readRecord(4096), {
    length: 2500,
    segmentSize: 1000,
    address: [...mapped(loopback[4])],
    local: [...mapped(second)],
    port: a.port,
  })
  t.equal(send(dual.fd, 6, [0, 10], { port: a.port, address: mapped(loopback[4]), local: mapped(second) }), 1)
  t.equal(await receive(a.fd), 1)
  t.match(readRecord(4096), { address: recorded(second), port: dual.port })
  for (const { fd } of [a, any, dual]) native.close(fd)
})

t.test('a broadcast: every socket of the port has a copy, and can answer from an address of the machine', async t => {
  const mapped = (address: Uint8Array) => Uint8Array.of(...new Uint8Array(10), 255, 255, ...address)
  const sender = createSocket('udp4')
  t.teardown(() => sender.close())
  sender.bind(0)
  await once(sender, 'listening')
  sender.setBroadcast(true)
  for (const [family, local] of [
    [4, loopback[4]],
    [6, mapped(loopback[4])],
  ] as const) {
    const flags = UdpFlag.packetInfo | UdpFlag.reusePort
    const first = open(family, flags, anywhere[family])
    const second = native.udpOpen(family, flags)
    t.equal(native.udpBind(second, anywhere[family], first.port, 0), 0)
    sender.send('to all', first.port, '127.255.255.255')
    for (const fd of [first.fd, second]) {
      t.equal(await receive(fd), 1)
      t.match(readRecord(4096), { length: 6, local: recorded(local), copies: 1 })
    }
    native.close(second)
    sender.send('to one', first.port, '127.0.0.1')
    t.equal(await receive(first.fd), 1)
    t.match(readRecord(4096), { length: 6, local: recorded(local), copies: 0 })
    native.close(first.fd)
  }
})

t.test('another source address on the same port', async t => {
  for (const family of families) {
    const length = loopback[family].length
    const address = new Uint8Array(length)
    const peer = open(family)
    const fd = native.udpOpen(family, 0)
    // A port that is free now.
    const { fd: other, port } = open(family, 0, anywhere[family])
    native.close(other)
    t.equal(native.udpBind(fd, anywhere[family], port, 0), 0)
    for (let i = 0; i < 2; i++) {
      t.equal(native.udpAddress(fd, address), length)
      t.same(address, anywhere[family], 'none yet')
      t.equal(native.udpConnect(fd, loopback[family], peer.port, 0), 0)
      t.equal(native.udpAddress(fd, address), length)
      t.same(address, loopback[family])
      t.equal(native.udpDisconnect(fd), 0)
      t.equal(native.udpPort(fd), port, 'stays')
    }
    t.equal(send(fd, family, [0, 10], {}), -89, 'EDESTADDRREQ')
    t.equal(native.udpAddress(fd, new Uint8Array(3)), EFAULT)
    for (const each of [fd, peer.fd]) native.close(each)
  }
  t.equal(native.udpAddress(-1, new Uint8Array(16)), failure('EBADF'))
  t.equal(native.udpDisconnect(-1), failure('EBADF'))
})

t.test('interfaces by name and index', async t => {
  const index = native.interfaceIndex('lo')
  t.ok(index > 0)
  t.equal(native.interfaceName(index), 'lo')
  t.equal(native.interfaceIndex('nothing'), failure('ENODEV'))
  t.equal(native.interfaceIndex('a-name-that-is-too-long'), EINVAL)
  t.equal(native.interfaceName(2 ** 30), -6, 'ENXIO')
  t.equal(native.interfaceName(-1), -6, 'ENXIO')
})

t.test('sockets', async t => {
  const a = open(4, UdpFlag.reusePort)
  const other = native.udpOpen(4, UdpFlag.reusePort)
  t.equal(native.udpBind(other, loopback[4], a.port, 0), 0, 'reusePort')
  const third = native.udpOpen(4, 0)
  t.equal(native.udpBind(third, loopback[4], a.port, 0), failure('EADDRINUSE'))
  const only = open(6, UdpFlag.v6Only, anywhere[6])
  t.equal(native.udpBind(third, anywhere[4], only.port, 0), 0, 'v6Only leaves the port to IPv4')
  t.equal(native.udpBind(third, new Uint8Array(5), 0, 0), EINVAL)
  t.equal(native.udpBind(third, anywhere[4], 65536, 0), EINVAL)
  t.equal(native.udpConnect(third, anywhere[4], -1, 0), EINVAL)
  t.equal(native.udpOpen(5 as 4, 0), EINVAL)
  const segmenting = native.udpOpen(4, UdpFlag.segment)
  t.ok(segmenting >= 0, 'UDP_SEGMENT is known')
  native.close(segmenting)
  const event = native.eventOpen()
  t.equal(native.udpPort(event), -88, 'ENOTSOCK')
  native.close(event)
  t.equal(native.socketBuffers(a.fd, -1, 0), EINVAL)
  t.equal(native.socketBuffers(a.fd, 0, 0), 0)
  t.equal(native.socketBuffers(-1, 1, 0), failure('EBADF'))
  for (const fd of [a.fd, other, third, only.fd]) t.equal(native.close(fd), 0)
})

t.test('bounds', async t => {
  const { fd, port } = open(4)
  const size = memory.bytes.length
  const words = vec.words.length
  const get = (at: number, stride: number, max: number, vecAt: number) =>
    native.udpReceive(fd, memory.arena, at, stride, max, vec.arena, vecAt)
  t.equal(get(0, size, 1, words - 16), 0)
  t.equal(get(0, 1, 256, 0), 0)
  t.equal(get(0, 1, 257, 0), EINVAL)
  t.equal(get(0, 1, -1, 0), EINVAL)
  t.equal(get(0, 0, 1, 0), EINVAL)
  t.equal(get(0, 2 ** 40, 1, 0), EINVAL)
  t.equal(get(1, size, 1, 0), EFAULT)
  t.equal(get(size - 10, 10, 2, 0), EFAULT)
  t.equal(get(-1, 10, 1, 0), EFAULT)
  t.equal(get(0, 10, 1, words - 15), EFAULT)
  t.equal(get(0, 10, 1, -1), EFAULT)

  const to = { port, address: loopback[4] }
  const put = (vecAt: number, messages: number) => native.udpSend(fd, 4, memory.arena, vec.arena, vecAt, messages)
  t.equal(put(0, 257), EINVAL)
  t.equal(put(0, -1), EINVAL)
  t.equal(put(words - 15, 1), EFAULT)
  t.equal(put(-1, 1), EFAULT)
  t.equal(put(0, 0), 0)
  t.equal(native.udpSend(fd, 5 as 4, memory.arena, vec.arena, 0, 1), EINVAL)
  for (const pieces of [
    [-1, 1],
    [0, -1],
    [size, 1],
    [1, size],
  ]) {
    t.equal(send(fd, 4, pieces, to), EFAULT, pieces.join())
  }
  for (const [record, error] of [
    [{ pieceAt: -1, pieces: 1 }, EFAULT],
    [{ pieceAt: words - 1, pieces: 1 }, EFAULT],
    [{ pieceAt: 0, pieces: -1 }, EINVAL],
    [{ pieceAt: 0, pieces: 1025 }, EINVAL],
    [{ pieceAt: 0, pieces: 1, port: 65536 }, EINVAL],
    [{ pieceAt: 0, pieces: 1, port: -1 }, EINVAL],
    [{ pieceAt: 0, pieces: 1, segmentSize: 65536 }, EINVAL],
    [{ pieceAt: 0, pieces: 1, segmentSize: -1 }, EINVAL],
  ] as const) {
    writeRecord(0, record)
    t.equal(put(0, 1), error, JSON.stringify(record))
  }
  vec.words.fill(0)
  for (let i = 0; i < 5; i++) writeRecord(i * Message.words, { pieceAt: 1024, pieces: 1000, ...to })
  t.equal(put(0, 5), EINVAL, 'too many pieces in all')
  t.equal(put(0, 4), 4)
  t.equal(send(fd, 4, [0, 65508], to), failure('EMSGSIZE'))
  t.equal(send(fd, 4, [0, 1], {}), -89, 'EDESTADDRREQ')
  t.equal(native.close(fd), 0)
})

/** The TUN tests; tun.test.ts runs them in a network namespace that ends with them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { queueOf } from '../../src/engine/ports.js'
import { filterLimits } from '../../src/flood/limits.js'
import { Message, native, TunFlag, TunOffload } from '../../src/native.js'
import { Netlink } from '../../src/net/netlink.js'
import { failure, sharedArena } from '../support/native.js'
import { naiveSum } from '../support/packets.js'

const address = { 4: (last: number) => Uint8Array.of(10, 9, 8, last), 6: (last: number) => ipv6(last) }
const ipv6 = (last: number) => Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? 0xfd : i === 15 ? last : 0))
/** /proc/net/dev, as /sys may be mounted for another namespace. */
const exists = (name: string) => readFileSync('/proc/net/dev', 'utf8').includes(`${name}:`)
const hasIPv6 = existsSync('/proc/net/if_inet6')
const families = hasIPv6 ? ([4, 6] as const) : ([4] as const)

const netlink = new Netlink()
t.teardown(() => netlink.close())

/** Brings a device up, with our address 1 and the peer's address 2. */
const bringUp = async (name: string) => {
  t.equal(native.linkUp(name, 1400, 0), 0)
  for (const family of families) {
    const index = netlink.link(name)?.index ?? 0
    t.equal(netlink.addAddress(index, address[family](1), address[family](2)), 0, `IPv${family} address`)
  }
  // The kernel adds the routes of an IPv6 address a moment after it has acknowledged the address, the peer's last.
  const peerRoute = `${Buffer.from(address[6](2)).toString('hex')} 80`
  while (hasIPv6 && !readFileSync('/proc/net/ipv6_route', 'utf8').includes(peerRoute)) await sleep(5)
}

const open = async (name: string, flags: number) => {
  const fd = native.tunOpen(name, flags)
  t.ok(fd >= 0, `tunOpen ${name}`)
  await bringUp(name)
  return fd
}

/** The next packet that `wanted` accepts (the kernel sends router solicitations and the like), within two seconds. */
const readPacket = async (fd: number, wanted: (packet: Buffer) => boolean): Promise<Buffer> => {
  const bytes = Buffer.alloc(70000)
  for (let i = 0; i < 200; ) {
    const length = native.read(fd, bytes, 0, bytes.length)
    if (length > 0 && wanted(bytes.subarray(0, length))) return Buffer.from(bytes.subarray(0, length))
    if (length > 0) continue
    await sleep(10)
    i++
  }
  throw new Error('no packet')
}

const ipHeader = (family: 4 | 6, protocol: number, length: number): Buffer => {
  const ip = Buffer.alloc(family === 4 ? 20 : 40)
  if (family === 4) {
    ip.set([0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, ...address[4](2), ...address[4](1)])
    ip.writeUInt16BE(20 + length, 2)
    ip.writeUInt16BE(0xffff - naiveSum(ip), 10)
  } else {
    ip.set([0x60, 0, 0, 0, 0, 0, protocol, 64, ...address[6](2), ...address[6](1)])
    ip.writeUInt16BE(length, 4)
  }
  return ip
}
const headerLength = { 4: 20, 6: 40 }
const protocolOf = (packet: Buffer, at = 0) => (packet[at] >> 4 === 4 ? packet[at + 9] : packet[at + 6])

t.test('names and queues', async t => {
  const first = native.tunOpen('queues', TunFlag.multiQueue | TunFlag.vnetHeader)
  t.ok(first >= 0)
  t.equal(native.tunName(first), 'queues')
  const second = native.tunOpen('queues', TunFlag.multiQueue | TunFlag.vnetHeader)
  t.ok(second >= 0)
  t.equal(native.tunOpen('queues', 0), failure('EINVAL'), 'flags differ')
  t.equal(native.close(first), 0)
  t.ok(exists('queues'))
  t.equal(native.close(second), 0)
  t.notOk(exists('queues'), 'gone with its last queue')

  const chosen = native.tunOpen('', 0)
  t.equal(native.tunName(chosen), 'tun0')
  const single = native.tunOpen('tun0', 0)
  t.equal(single, failure('EBUSY'))
  native.close(chosen)
  t.equal(native.tunOpen('a/b', 0), failure('EINVAL'))
  const event = native.eventOpen()
  t.equal(native.tunName(event), -25, 'ENOTTY')
  native.close(event)
  t.equal(native.tunName(-1), failure('EBADF'))
  const longest = native.tunOpen('fifteen-letters', 0)
  t.equal(native.tunName(longest), 'fifteen-letters')
  native.close(longest)
})

t.test('the flood filter: a first SYN is dropped, its repetition passes, and so do a few others', async t => {
  const map = native.floodMapOpen()
  if (map < 0) {
    t.equal(map, failure('EPERM'), 'without CAP_BPF')
    return
  }
  const { spanBits, handshakes, others, retryBits } = filterLimits
  const filter = native.floodFilterOpen(map, spanBits, handshakes, others, retryBits)
  t.ok(filter >= 0, `the kernel takes the program (${filter})`)
  t.equal(native.floodFilterOpen(-1, spanBits, handshakes, others, retryBits), failure('EBADF'))
  for (const [span, first, second, retry] of [
    [64, 1, 1, 30],
    [24, -1, 1, 30],
    [24, 1, -1, 30],
    [24, 1, 1, -1],
  ]) {
    t.equal(native.floodFilterOpen(map, span, first, second, retry), failure('EINVAL'))
  }
  t.equal(native.floodDropped(-1, 0), failure('EBADF'))
  t.equal(native.floodBegin(-1), failure('EBADF'))
  t.equal(native.floodSyns(-1, 1), failure('EBADF'))
  t.equal(native.floodAdmit(-1, new Uint8Array(24)), failure('EBADF'))
  t.equal(native.floodBegin(map), 0)
  t.equal(native.floodSyns(map, 1), 0)
  t.equal(native.tunFilter(-1, filter), failure('EBADF'))
  const fd = await open('filter', 0)
  t.equal(native.tunFilter(fd, filter), 0)
  t.equal(native.floodDropped(map, 1), 0)

  /** SYNs of the kernel's own to 100 ports, which it sends again after a second, and ten datagrams. */
  const knocks = (host: string, seconds: number) =>
    spawn(process.execPath, [
      '-e',
      `const net = require('node:net')
      for (let port = 7000; port < 7100; port++) net.connect(port, '${host}').on('error', () => {})
      const udp = require('node:dgram').createSocket('${host.includes(':') ? 'udp6' : 'udp4'}')
      for (let port = 8000; port < 8010; port++) udp.send('x', port, '${host}')
      setTimeout(() => process.exit(), ${seconds * 1000})`,
    ])
  /** What arrives until it is over: TCP destination ports, and the number of datagrams. */
  const arrivals = async (child: ChildProcess) => {
    const bytes = Buffer.alloc(2048)
    const syns: number[] = []
    let datagrams = 0
    const ended = once(child, 'exit')
    for (let running = true; running; ) {
      running = await Promise.race([ended.then(() => false), sleep(20).then(() => true)])
      for (let length = native.read(fd, bytes, 0, bytes.length); length > 0; ) {
        const header = headerLength[bytes[0] >> 4 === 4 ? 4 : 6]
        if (protocolOf(bytes) === 6) syns.push(bytes.readUInt16BE(header + 2))
        if (protocolOf(bytes) === 17) datagrams++
        length = native.read(fd, bytes, 0, bytes.length)
      }
    }
    return { syns: [...new Set(syns)].length, datagrams }
  }
  let dropped = 0
  for (const host of hasIPv6 ? ['10.9.8.2', 'fd00::2'] : ['10.9.8.2']) {
    t.same(await arrivals(knocks(host, 0.6)), { syns: 0, datagrams: 10 }, `${host}: first ones`)
    dropped += 100
    t.equal(native.floodDropped(map, 1), dropped)
    // The ports of a new process's sockets are others.
    t.same(await arrivals(knocks(host, 1.8)), { syns: 100, datagrams: 10 }, `${host}: those that come again`)
    dropped += 100
    t.equal(native.floodDropped(map, 1), dropped)
  }
  t.equal(native.tunFilter(fd, -1), 0)
  t.same(await arrivals(knocks('10.9.8.2', 0.6)), { syns: 100, datagrams: 10 }, 'without a filter')
  t.equal(native.floodDropped(map, 1), dropped)
  t.equal(native.floodDropped(map, 0), 0)
  for (const each of [fd, filter, map]) native.close(each)
})

t.test('the flood filter passes as many others a span as it was told', async t => {
  const fd = await open('others', 0)
  const bytes = Buffer.alloc(2048)
  const arrived = () => {
    let packets = 0
    while (native.read(fd, bytes, 0, bytes.length) > 0) packets++
    return packets
  }
  for (const most of [0, 3, 20]) {
    const map = native.floodMapOpen()
    if (map < 0) break
    // Spans of 2^40 ns = 18 min: at most one of them ends meanwhile.
    const filter = native.floodFilterOpen(map, 40, 0, most, 30)
    t.equal(native.tunFilter(fd, filter), 0)
    arrived()
    const send = spawnSync(process.execPath, [
      '-e',
      `const s = require('node:dgram').createSocket('udp4')
      s.bind(async () => {
        for (let i = 0; i < 50; i++) await new Promise(done => s.send('x', 9000, '10.9.8.2', done))
        s.close()
      })`,
    ])
    t.equal(send.status, 0)
    // The kernel itself says something now and then (router solicitations).
    const passed = arrived()
    t.ok(passed >= most - 3 && passed <= 2 * most, `${passed} passed, ${most} allowed`)
    t.ok(native.floodDropped(map, 0) >= 50 - passed, 'the others are counted')
    for (const each of [map, filter]) native.close(each)
  }
  native.close(fd)
})

t.test('steering: the kernel puts a packet on the queue that `queueOf` says', async t => {
  const queues = Array.from({ length: 3 }, () => native.tunOpen('steer', TunFlag.multiQueue))
  const result = native.tunSteer(queues[0])
  if (result !== 0) {
    t.equal(result, failure('EPERM'), 'without CAP_BPF')
    return
  }
  await bringUp('steer')
  const { arena, words } = sharedArena(1 << 12)
  const bytes = new Uint8Array(2048)
  const view = new DataView(bytes.buffer)
  for (const family of families) {
    let compared = 0
    let wrong = 0
    const used = new Set<number>()
    /** Our ports are the sources of what the kernel sends: to the stack they are the remote ports. */
    for (let remotePort = 1; remotePort < 0x10000; remotePort += 1_571) {
      const udp = native.udpOpen(family, 8)
      while (native.udpBind(udp, address[family](1), remotePort, 0) === failure('EADDRNOTAVAIL')) await sleep(5)
      const localPorts = Array.from({ length: 40 }, (_, i) => ((remotePort * 31 + i * 1_639) % 0xffff) + 1)
      for (const localPort of localPorts) {
        words.set([1000, 4], 20)
        words.set([20, 1, 0, 0])
        const connected = native.udpConnect(udp, address[family](2), localPort, 0)
        const sent = native.udpSend(udp, family, arena, arena, 0, 1)
        if (connected !== 0 || sent !== 1) t.fail(`from ${remotePort} to ${localPort}: ${connected}, ${sent}`)
      }
      native.close(udp)
      for (const [queue, fd] of queues.entries()) {
        while (native.read(fd, bytes, 0, bytes.length) > 0) {
          const at = headerLength[family]
          if (bytes[0] >> 4 !== family || protocolOf(Buffer.from(bytes)) !== 17) continue
          const [source, destination] = [view.getUint16(at), view.getUint16(at + 2)]
          compared++
          used.add(queue)
          if (queue !== queueOf(destination, source, queues.length)) wrong++
        }
      }
    }
    t.equal(compared, 42 * 40, `IPv${family}: every packet arrived`)
    t.equal(wrong, 0, `IPv${family}: on its queue`)
    t.equal(used.size, queues.length, `IPv${family}: on all of them`)
  }
  for (const fd of queues) native.close(fd)
  t.equal(native.tunSteer(-1), failure('EBADF'))
})

t.test('link', async t => {
  const fd = native.tunOpen('link', 0)
  t.equal(native.linkUp('link', 1300, 77), 0)
  if (hasIPv6) t.equal(readFileSync('/proc/sys/net/ipv6/conf/link/mtu', 'utf8').trim(), '1300')
  const ip = spawnSync('ip', ['-o', 'link', 'show', 'link'], { encoding: 'utf8' })
  if (ip.status === 0) t.match(ip.stdout, /UP.*mtu 1300.*qlen 77/)
  t.equal(native.linkUp('link', 1, 0), failure('EINVAL'))
  t.equal(native.linkUp('nowhere', 0, 0), failure('ENODEV'))
  t.equal(native.linkUp('nowhere', 1300, 0), failure('ENODEV'))
  t.equal(native.linkMangleId('link'), 0)
  const features = spawnSync('ethtool', ['-k', 'link'], { encoding: 'utf8' })
  if (features.status === 0) t.match(features.stdout, /tx-tcp-mangleid-segmentation: (on|off \[requested on\])/)
  t.equal(native.linkMangleId('nowhere'), failure('ENODEV'))

  native.close(fd)
})

for (const family of families) {
  t.test(`IPv${family}: datagrams out and in`, async t => {
    const tun = await open('data', 0)
    const capture = native.captureOpen('data', 1 << 20)
    t.ok(capture >= 0)
    const socket = native.udpOpen(family, 0)
    t.equal(native.udpBind(socket, address[family](1), 4000, 0), 0)
    t.equal(native.udpConnect(socket, address[family](2), 5000, 0), 0)
    const { arena, bytes, words } = sharedArena(1 << 16)
    const payload = Buffer.from('hello')
    bytes.set(payload, 1000)
    words.set([1000, payload.length], 20)
    words.set([20, 1])
    t.equal(native.udpSend(socket, family, arena, arena, 0, 1), 1)
    const isUdp = (packet: Buffer) => protocolOf(packet) === 17
    const sent = await readPacket(tun, isUdp)
    t.ok(sent.subarray(-5).equals(payload))
    t.ok((await readPacket(capture, isUdp)).subarray(-5).equals(payload), 'captured on its way out')

    const udp = Buffer.alloc(8)
    udp.writeUInt16BE(5000, 0)
    udp.writeUInt16BE(4000, 2)
    udp.writeUInt16BE(8 + payload.length, 4)
    const ip = ipHeader(family, 17, 8 + payload.length)
    const pseudo = Buffer.concat([address[family](2), address[family](1), Buffer.from([0, 17, 0, 8 + payload.length])])
    udp.writeUInt16BE(0xffff - naiveSum(Buffer.concat([pseudo, udp, payload, Buffer.alloc(1)])), 6)
    const head = Buffer.concat([ip, udp])
    t.equal(native.writeGather(tun, head, 0, head.length, arena, arena, 20, 1), head.length + payload.length)
    let received = 0
    for (let i = 0; i < 100 && received === 0; i++) {
      received = native.udpReceive(socket, arena, 2000, 2000, 4, arena, 40)
      if (received === 0) await sleep(10)
    }
    t.equal(received, 1)
    t.same([words[40 + Message.at], words[40 + Message.length], words[40 + Message.port]], [2000, 5, 5000])
    t.ok((await readPacket(capture, isUdp)).equals(Buffer.concat([head, payload])), 'captured on its way in')
    for (const fd of [tun, capture, socket]) t.equal(native.close(fd), 0)
  })

  t.test(`IPv${family}: the kernel takes segments for valid`, async t => {
    const tun = await open('offload', TunFlag.vnetHeader | TunFlag.multiQueue)
    const virtioLength = 12
    t.equal(native.tunHeaderSize(tun, virtioLength), 0)
    t.equal(native.tunHeaderSize(tun, 3), failure('EINVAL'))
    t.equal(native.tunOffload(tun, TunOffload.checksum | TunOffload.tso4 | TunOffload.tso6), 0)
    t.equal(native.tunOffload(tun, 1 << 30), failure('EINVAL'))
    const tcp = Buffer.alloc(20)
    const sequence = 0xfffffd00
    tcp.writeUInt16BE(5000, 0)
    tcp.writeUInt16BE(4000, 2)
    tcp.writeUInt32BE(sequence, 4)
    tcp[12] = 0x50
    const head = Buffer.concat([Buffer.alloc(virtioLength), ipHeader(family, 6, 20), tcp])
    const { arena, words } = sharedArena(1 << 16)
    words.set([101, 3333])
    const written = native.writeSegments(tun, head, 0, head.length, virtioLength, arena, arena, 0, 1, 999)
    t.equal(written, 4)
    // Nothing listens: a valid segment is answered by a reset that acknowledges its end.
    for (const end of [999, 1998, 2997, 3333]) {
      const reset = await readPacket(tun, packet => protocolOf(packet, virtioLength) === 6)
      const answer = reset.subarray(virtioLength + headerLength[family])
      t.equal(answer[13], 0x14, 'RST, ACK')
      t.equal(answer.readUInt32BE(8), (sequence + end) >>> 0)
    }
    native.close(tun)
  })
}

t.test('capture', async t => {
  t.equal(native.captureOpen('nowhere', 0), failure('ENODEV'))
  t.equal(native.linkUp('lo', 0, 0), 0)
  const capture = native.captureOpen('lo', 0)
  t.ok(capture >= 0)
  t.equal(native.read(capture, new Uint8Array(100), 0, 100), failure('EAGAIN'))
  t.equal(native.close(capture), 0)
})

import t from 'tap'
import { Errno, Message, native, UdpFlag } from '../../src/native.js'
import { missingFeatures, type ProbeCalls, probeUdp } from '../../src/udp/features.js'

/** The real calls but for these, and how many descriptors they leave open. */
const calls = (changed: Partial<ProbeCalls>) => {
  let open = 0
  const real: ProbeCalls = {
    ...native,
    udpOpen: (family, flags) => {
      const fd = (changed.udpOpen ?? native.udpOpen)(family, flags)
      if (fd >= 0) open++
      return fd
    },
    close: fd => {
      open--
      return native.close(fd)
    },
  }
  return { calls: { ...changed, ...real, ...(changed.udpSend && { udpSend: changed.udpSend }) }, open: () => open }
}

/** The words of a vector that the probe sends: they lie in an arena of its own. */
const watchedArenas = () => {
  const arenas = new Map<number, Uint8Array>()
  const arenaOpen = (bytes: Uint8Array): number => {
    const arena = native.arenaOpen(bytes)
    arenas.set(arena, bytes)
    return arena
  }
  return { arenaOpen, words: (arena: number) => new Int32Array(arenas.get(arena)!.buffer) }
}

t.test('this kernel', async t => {
  const { calls: real, open } = calls({})
  t.same(probeUdp(real), { gro: true, segment: true })
  t.equal(open(), 0, 'nothing is left open')
  t.same(missingFeatures({ gro: true, segment: true }), [])
  t.same(missingFeatures({ gro: false, segment: false }), ['UDP_GRO', 'UDP_SEGMENT'])
})

t.test('options that are not known', async t => {
  const without = (flag: number) =>
    calls({ udpOpen: (family, flags) => ((flags & flag) !== 0 ? -92 : native.udpOpen(family, flags)) })
  const old = without(UdpFlag.gro)
  t.same(probeUdp(old.calls), { gro: false, segment: true }, 'before Linux 5.0')
  const older = without(UdpFlag.gro | UdpFlag.segment)
  t.same(probeUdp(older.calls), { gro: false, segment: false }, 'before Linux 4.18')
  t.same([old.open(), older.open()], [0, 0])
})

t.test('a request to cut that is ignored', async t => {
  const { arenaOpen, words } = watchedArenas()
  const udpSend: ProbeCalls['udpSend'] = (fd, family, memory, vec, vecAt, messages) => {
    words(vec)[vecAt + Message.segmentSize] = 0
    return native.udpSend(fd, family, memory, vec, vecAt, messages)
  }
  t.match(probeUdp({ ...native, arenaOpen, udpSend }), { segment: false })
})

t.test('a request to cut that is refused', async t => {
  for (const errno of [Errno.EMSGSIZE, Errno.EINVAL, Errno.EIO, Errno.EOPNOTSUPP]) {
    t.match(probeUdp({ ...native, udpSend: () => -errno }), { segment: false })
  }
})

t.test('datagrams that come merged without a word about it', async t => {
  const { arenaOpen, words } = watchedArenas()
  const udpReceive: ProbeCalls['udpReceive'] = (fd, memory, at, stride, max, vec, vecAt) => {
    const count = native.udpReceive(fd, memory, at, stride, max, vec, vecAt)
    for (let i = 0; i < count; i++) words(vec)[vecAt + i * Message.words + Message.segmentSize] = 0
    return count
  }
  t.same(probeUdp({ ...native, arenaOpen, udpReceive }), { gro: false, segment: true })
})

t.test('where nothing can be tried the options must do', async t => {
  t.same(probeUdp({ ...native, udpReceive: () => 0 }), { gro: true, segment: true }, 'nothing arrives')
  t.same(probeUdp({ ...native, udpBind: () => -Errno.EADDRNOTAVAIL }), { gro: true, segment: true }, 'no loopback')
  t.same(probeUdp({ ...native, udpSend: () => -Errno.EPERM }), { gro: true, segment: true }, 'a firewall')
})

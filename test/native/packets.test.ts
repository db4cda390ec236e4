import t from 'tap'
import { native } from '../../src/native.js'
import { failure, openDescriptors, openPair, readPacket, sharedArena } from '../support/native.js'
import { randomBytes } from '../support/random.js'

const EAGAIN = failure('EAGAIN')
const EBADF = failure('EBADF')
const EFAULT = failure('EFAULT')
const EINVAL = failure('EINVAL')
const EPIPE = failure('EPIPE')

t.test('a pair carries whole packets both ways', async t => {
  const [left, right] = openPair()
  const { arena, bytes } = sharedArena(4096)
  bytes.set(randomBytes(4096, 1))
  t.equal(native.read(left, arena, 0, 100), EAGAIN)
  t.equal(native.write(left, arena, 10, 1500), 1500)
  t.equal(native.write(left, arena, 20, 3), 3)
  t.same(readPacket(right), bytes.slice(10, 1510))
  t.same(readPacket(right), bytes.slice(20, 23))
  t.equal(native.write(right, Uint8Array.of(7), 0, 1), 1)
  t.same([...readPacket(left)], [7])
  for (const [at, length] of [
    [-1, 1],
    [4096, 1],
    [0, 4097],
    [2 ** 40, 1],
  ]) {
    t.equal(native.write(left, arena, at, length), EFAULT)
    t.equal(native.read(left, arena, at, length), EFAULT)
  }
  t.equal(native.close(right), 0)
  t.equal(native.read(left, arena, 0, 10), 0, 'the end')
  t.equal(native.write(left, arena, 0, 10), EPIPE, 'and no signal ends the process')
  t.equal(native.close(left), 0)
})

t.test('descriptors are closed by their owner only', async t => {
  const before = openDescriptors()
  const [left, right] = openPair()
  const event = native.eventOpen()
  t.equal(openDescriptors(), before + 3)
  for (const fd of [left, right, event]) t.equal(native.close(fd), 0)
  t.equal(openDescriptors(), before)
  for (const fd of [left, 0, 1, 2, -1, 1e6]) t.equal(native.close(fd), EBADF)
  t.equal(native.read(left, new Uint8Array(1), 0, 1), EBADF)
})

t.test('eventfd', async t => {
  const fd = native.eventOpen()
  t.equal(native.eventDrain(fd), 0)
  t.equal(native.eventRing(fd), 0)
  t.equal(native.eventRing(fd), 0)
  t.equal(native.eventDrain(fd), 2)
  t.equal(native.eventDrain(fd), 0)
  const full = new Uint8Array(8).fill(255)
  full[0] = 254
  t.equal(native.write(fd, full, 0, 8), 8)
  t.equal(native.eventRing(fd), 0, 'full is rung')
  t.equal(native.close(fd), 0)
  t.equal(native.eventRing(fd), EBADF)
  t.equal(native.eventDrain(fd), EBADF)
})

t.test('readBatch', async t => {
  const [left, right] = openPair()
  const { arena, bytes } = sharedArena(8192)
  const vec = sharedArena(1024)
  const read = (at: number, end: number, room: number, max: number) =>
    native.readBatch(right, arena, at, end, room, vec.arena, 4, max, -1)
  const send = (...lengths: number[]) => {
    for (const length of lengths) native.write(left, randomBytes(length, length), 0, length)
  }
  const pairs = (count: number) => [...vec.words.subarray(4, 4 + 2 * count)]

  t.equal(read(0, 8192, 100, 10), 0, 'nothing there')
  send(100, 64, 65, 1)
  t.equal(read(0, 8192, 100, 10), 4)
  t.same(pairs(4), [0, 100, 128, 64, 192, 65, 320, 1])
  for (const [at, length] of [
    [0, 100],
    [128, 64],
    [192, 65],
    [320, 1],
  ]) {
    t.same(bytes.slice(at, at + length), randomBytes(length, length))
  }

  send(100, 100, 100)
  t.equal(read(1, 8192, 100, 2), 2, 'at most max')
  t.same(pairs(2), [64, 100, 192, 100], 'from the first multiple of 64')
  t.equal(read(8000, 8191, 1000, 10), 0, 'no room')
  t.equal(read(8000, 8140, 100, 10), 1, 'the rest stays')

  send(50, 50, 50)
  t.equal(read(0, 128 + 49, 50, 10), 2, 'room for two')
  t.equal(read(0, 128 + 49, 50, 10), 1)
  t.equal(read(0, 8192, 100, 0), 0)

  send(100, 65, 7)
  t.equal(native.readBatch(right, arena, 0, 8192, 100, vec.arena, 4, 10, 40), 3)
  t.same(
    [...vec.words.subarray(40, 43)],
    [100, 65, 7].map(length => native.checksum(randomBytes(length, length), 0, length, 0)),
    'sums',
  )
  t.equal(native.readBatch(right, arena, 0, 8192, 100, vec.arena, 4, 10, 250), EFAULT, 'no room for sums')

  send(10)
  native.close(left)
  t.equal(read(0, 8192, 100, 10), 1, 'what came before the end')
  t.equal(read(0, 8192, 100, 10), EPIPE)

  const [near, far] = openPair()
  native.write(near, bytes, 0, 10)
  native.close(far)
  t.equal(native.readBatch(near, arena, 0, 8192, 100, vec.arena, 0, 1, -1), EPIPE, 'also when it left packets unread')
  native.close(near)

  t.equal(read(0, 8193, 100, 10), EFAULT)
  t.equal(read(-64, 8192, 100, 10), EFAULT)
  t.equal(read(0, 8192, 100, 127), EFAULT, 'vec is too small')
  t.equal(read(0, 8192, 0, 1), EINVAL)
  t.equal(read(100, 99, 1, 1), EINVAL)
  t.equal(read(0, 8192, 1, -1), EINVAL)
  t.equal(native.readBatch(right, arena, 0, 8192, 100, vec.arena, -1, 1, -1), EFAULT)
  t.equal(native.readBatch(right, arena, 0, 8192, 100, 99, 0, 1, -1), EFAULT)
  const odd = native.arenaOpen(new Uint8Array(new SharedArrayBuffer(64), 1))
  t.equal(native.readBatch(right, arena, 0, 8192, 100, odd, 0, 1, -1), EFAULT, 'words are aligned')
  t.equal(native.close(right), 0)
  t.equal(read(0, 8192, 100, 1), EBADF)
})

t.test('writeGather', async t => {
  const [left, right] = openPair()
  const { arena, bytes } = sharedArena(4096)
  bytes.set(randomBytes(4096, 5))
  const vec = sharedArena(4 * 4096)
  const head = randomBytes(60, 6)
  vec.words.set([0, 0, 10, 20, 4000, 96, 5, 0, 0, 1000], 2)
  const write = (vecAt: number, pieces: number, headAt = 2, headLength = 52) =>
    native.writeGather(left, head, headAt, headLength, arena, vec.arena, vecAt, pieces)

  t.equal(write(4, 4), 52 + 20 + 96 + 1000)
  const expected = [head.subarray(2, 54), bytes.slice(10, 30), bytes.slice(4000), bytes.slice(0, 1000)]
  t.same(readPacket(right), new Uint8Array(Buffer.concat(expected)))
  t.equal(write(4, 0), 52, 'only a header')
  t.same(readPacket(right), head.slice(2, 54))
  t.equal(write(4, 1, 0, 0), 20, 'no header')
  t.same(readPacket(right), bytes.slice(10, 30))

  vec.words.fill(0)
  vec.words.set([1, 1], 2 * 1022)
  t.equal(write(0, 1023, 0, 10), 11)
  readPacket(right)
  t.equal(write(0, 1024), EINVAL)
  t.equal(write(0, -1), EFAULT)
  t.equal(write(4095, 1), EFAULT)
  t.equal(write(0, 0, 0, 61), EFAULT)
  for (const pair of [
    [-1, 1],
    [0, -1],
    [4096, 1],
    [1, 4096],
    [0x7fffffff, 0x7fffffff],
  ]) {
    vec.words.set(pair, 2)
    t.equal(write(0, 2), EFAULT, pair.join())
  }
  t.equal(native.read(right, new Uint8Array(1), 0, 1), EAGAIN, 'nothing was written')
  for (const fd of [left, right]) native.close(fd)
})

import t from 'tap'
import { type Addon, type Memory, native } from '../../src/native.js'
import { failure, sharedArena } from '../support/native.js'
import { naiveSum } from '../support/packets.js'
import { randomBytes, randomNumbers } from '../support/random.js'

const EFAULT = failure('EFAULT')
const EINVAL = failure('EINVAL')

t.test('arenas of shared and plain memory', async t => {
  for (const buffer of [new SharedArrayBuffer(100), new ArrayBuffer(100)]) {
    const bytes = new Uint8Array(buffer, 10, 80)
    const arena = native.arenaOpen(bytes)
    t.ok(arena >= 0)
    t.equal(native.copy(arena, 5, Uint8Array.of(1, 2, 3), 0, 3), 3)
    t.same([...bytes.subarray(4, 9)], [0, 1, 2, 3, 0])
    t.equal(native.arenaClose(arena), 0)
    t.equal(native.arenaClose(arena), EFAULT)
    t.equal(native.copy(arena, 5, bytes, 0, 3), EFAULT)
    t.equal(native.copy(arena, 0, bytes, 0, 0), EFAULT, 'even no bytes of a closed arena')
    t.not(native.arenaOpen(bytes), arena, 'numbers are not used twice')
  }
})

t.test('ranges', async t => {
  const { arena } = sharedArena(100)
  const to = new Uint8Array(1000)
  for (const memory of [arena, new Uint8Array(100), native.arenaOpen(new Uint8Array(100))]) {
    const inside = (at: number, length: number) => {
      t.equal(native.copy(to, 0, memory, at, length), length, `from ${at} for ${length}`)
      t.equal(native.copy(memory, at, to, 0, length), length, `to ${at} for ${length}`)
    }
    const outside = (at: number, length: number) => {
      t.equal(native.copy(to, 0, memory, at, length), EFAULT, `from ${at} for ${length}`)
      t.equal(native.copy(memory, at, to, 0, length), EFAULT, `to ${at} for ${length}`)
      t.equal(native.checksum(memory, at, length, 0), EFAULT, `sum at ${at} for ${length}`)
    }
    for (const [at, length] of [
      [0, 100],
      [100, 0],
      [99, 1],
      [0, 0],
    ])
      inside(at, length)
    for (const at of [101, -1, 2 ** 31, 2 ** 32, 2 ** 32 + 5, -(2 ** 32), 2 ** 53, 1e300, -1e300, Infinity])
      outside(at, 0)
    for (const length of [101, -1, 2 ** 31, 2 ** 32, 2 ** 32 + 5, 2 ** 63, -(2 ** 63), Infinity]) outside(0, length)
    outside(100, 1)
    outside(1, 100)
    outside(2 ** 53, -(2 ** 53))
  }
  for (const arena of [12345, -1, 2 ** 31, 2 ** 32, Infinity]) t.equal(native.checksum(arena, 0, 0, 0), EFAULT)
})

t.test('memory that shrinks or goes away', async t => {
  const bytes = new Uint8Array(100)
  const arena = native.arenaOpen(bytes)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  t.equal(native.checksum(arena, 0, 1, 0), EFAULT)
  t.equal(native.checksum(bytes, 0, 1, 0), EFAULT)
  t.equal(native.copy(arena, 0, Uint8Array.of(1), 0, 1), EFAULT)

  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: object,
  ) => ArrayBuffer & { resize(n: number): void }
  const buffer = new Resizable(100, { maxByteLength: 1 << 20 })
  const resizable = native.arenaOpen(new Uint8Array(buffer))
  t.equal(native.checksum(resizable, 0, 100, 0), 0)
  buffer.resize(50)
  t.equal(native.checksum(resizable, 0, 51, 0), EFAULT)
  t.equal(native.checksum(resizable, 0, 50, 0), 0)
})

t.test('copies that overlap', async t => {
  const reference = randomBytes(300, 1)
  const { arena, bytes } = sharedArena(300)
  for (const [to, from] of [
    [0, 50],
    [50, 0],
    [7, 8],
    [8, 7],
    [0, 0],
  ]) {
    bytes.set(reference)
    t.equal(native.copy(arena, to, arena, from, 250), 250)
    const expected = reference.slice()
    expected.copyWithin(to, from, from + 250)
    t.same(bytes.slice(), expected)
  }
})

t.test('checksums of every length', async t => {
  const longest = 9001
  const { arena, bytes } = sharedArena(longest + 3)
  bytes.set(randomBytes(bytes.length, 2))
  const plain = bytes.slice()
  const next = randomNumbers(3)
  let wrong = 0
  for (let length = 0; length <= longest; length++) {
    for (const at of [0, 1]) {
      const initial = next()
      const expected = naiveSum(plain.subarray(at, at + length), initial)
      if (native.checksum(arena, at, length, initial) !== expected) wrong++
      if (native.checksum(plain, at, length, initial) !== expected) wrong++
    }
  }
  t.equal(wrong, 0)
  const ones = new Uint8Array(70001).fill(0xff)
  t.equal(native.checksum(ones, 0, 70000, 0xffffffff), 0xffff)
  t.equal(native.checksum(ones, 0, 70001, 0), naiveSum(ones))
  t.equal(native.checksum(new Uint8Array(64), 0, 64, 0), 0)
  t.equal(native.checksum(new Uint8Array(64), 0, 64, 2 ** 32), EINVAL)
  t.equal(native.checksum(new Uint8Array(64), 0, 64, -1), EINVAL)
})

t.test('clock', async t => {
  let last = native.clock()
  for (let i = 0; i < 1000; i++) {
    const now = native.clock()
    if (now < last) t.fail('stepped back')
    last = now
  }
  t.ok(Math.abs(native.clock() - Number(process.hrtime.bigint()) / 1e6) < 1000, 'CLOCK_MONOTONIC in milliseconds')
})

t.test('wrong types answer EINVAL', async t => {
  const bytes = new Uint8Array(10)
  const wrong = [
    undefined,
    null,
    'x',
    {},
    [],
    Symbol('s'),
    1n,
    true,
    () => 0,
    new Float64Array(2),
    new DataView(new ArrayBuffer(8)),
    new ArrayBuffer(8),
    new SharedArrayBuffer(8),
  ]
  for (const value of wrong as Memory[]) {
    t.equal(native.arenaOpen(value as Uint8Array), EINVAL)
    t.equal(native.copy(value, 0, bytes, 0, 1), EINVAL)
    t.equal(native.copy(bytes, 0, value, 0, 1), EINVAL)
    t.equal(native.checksum(bytes, value as number, 0, 0), EINVAL)
    t.equal(native.pairOpen(value as unknown as Int32Array), EINVAL)
    t.equal(native.close(value as number), EINVAL)
    if (typeof value !== 'string') t.equal(native.tunOpen(value as unknown as string, 0), EINVAL)
  }
  t.equal(native.copy(bytes, Number.NaN, bytes, 0, 1), EINVAL)
  t.equal(native.copy(bytes, 0.5, bytes, 0, 1), EINVAL)
  t.equal(native.pairOpen(new Int32Array(1)), EINVAL)
  t.equal(native.tunOpen('sixteen-is-more!', 0), EINVAL)
  t.equal(native.tunOpen('fifteen-letterö', 0), EINVAL, 'counted in bytes')
  t.equal(native.tunOpen('nul\0nul', 0), EINVAL)
  t.equal((native.copy as () => number)(), EINVAL, 'no arguments')
})

t.test('arbitrary arguments never crash', async t => {
  const { arena } = sharedArena(1000)
  const closed = native.arenaOpen(new Uint8Array(1))
  native.arenaClose(closed)
  // No descriptor that is open, and no interface name that could be one.
  const values = [
    undefined,
    null,
    'a-name-too-long-for-an-interface',
    {},
    -1,
    -2,
    0.5,
    1e9,
    2 ** 31,
    2 ** 53,
    -(2 ** 31),
    Number.NaN,
    Infinity,
    Symbol('s'),
    1n,
    arena,
    closed,
    new Uint8Array(1000),
    new Uint8Array(0),
    new Uint8Array(4),
    new Int32Array(2),
    3,
    64,
  ]
  // These take no arguments that could be wrong.
  const others = ['Poller', 'eventOpen', 'timerOpen', 'floodMapOpen', 'netlinkOpen']
  const names = Object.keys(native).filter(name => !others.includes(name)) as (keyof Addon)[]
  const next = randomNumbers(4)
  const value = () => values[next() % values.length]
  for (const name of names) {
    const call = native[name] as unknown as (...args: unknown[]) => unknown
    const takesDescriptor = !/^(arena|copy|checksum|clock|.*Open|link)/.test(name)
    for (let i = 0; i < 3000; i++) {
      const args = Array.from({ length: 11 }, value)
      if (takesDescriptor) args[0] = [-1, 1e9, undefined, 'x'][next() % 4]
      if (name === 'udpOpen') args[0] = [5, 0, undefined, 'x'][next() % 4]
      const result = call(...args)
      if (typeof result !== 'number') t.fail(`${name}: ${String(result)}`)
      if (name === 'pairOpen' && result === 0) {
        for (const end of args[0] as Int32Array) native.close(end)
      }
    }
    t.pass(name)
  }
  const Poller = native.Poller as unknown as new (...args: unknown[]) => unknown
  for (let i = 0; i < 500; i++) {
    t.throws(() => new Poller(value(), value(), i % 2 ? 'no function' : value()))
  }
})

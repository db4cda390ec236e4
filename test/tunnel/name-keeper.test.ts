import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { NameKeeper, type NameOptions } from '../../src/tunnel/name-keeper.js'
import { NameReader } from '../../src/tunnel/name-reader.js'
import { addressesOf } from '../../src/tunnel/resolve.js'
import type { UdpAddress } from '../../src/udp/socket.js'

const address = (last: number): UdpAddress => ({ bytes: Uint8Array.of(192, 0, 2, last), zone: '' })
const lasts = (addresses: readonly UdpAddress[]) => addresses.map(({ bytes }) => bytes[3])

/** A name that stands for what `answer` says: the last bytes of its addresses, or an error's code. */
const open = async (
  t: Test,
  answer: () => number[] | string | Promise<number[]>,
  pauses: NameOptions['pauses'] = {},
) => {
  const said: string[] = []
  const asked: number[] = []
  const note = (level: string) => (_: object, text: string) => said.push(`${level}: ${text}`)
  const logger = { info: note('info'), warn: note('warn'), error: note('error'), debug: note('debug') }
  const resolve = async (): Promise<UdpAddress[]> => {
    asked.push(performance.now())
    const found = await answer()
    if (typeof found === 'string') throw Object.assign(new Error(found), { code: found })
    return found.map(address)
  }
  const short = { start: 200, waiting: [10, 40], doubting: [10, 80], calm: 1_000 } as const
  const keeper = await NameKeeper.open({
    host: 'name.test',
    families: [4],
    logger: logger as unknown as NonNullable<NameOptions['logger']>,
    resolve,
    pauses: { ...short, ...pauses },
  })
  let changes = 0
  const { channel } = keeper
  const reader = new NameReader({ addresses: keeper.addresses, channel }, () => changes++)
  // It asks what is true now, and is told.
  if (keeper.addresses.length > 0) await until(() => changes === 1)
  changes = 0
  t.teardown(() => {
    reader.close()
    keeper.close()
  })
  return { keeper, reader, said, asked, changes: () => changes }
}

const until = async (test: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !test(); i++) await sleep(5)
}

t.test('a name that resolves at once is asked for once', async t => {
  const { keeper, reader, said, asked } = await open(t, () => [1, 2])
  t.same(lasts(keeper.addresses), [1, 2])
  t.same(lasts(reader.addresses), [1, 2])
  await sleep(100)
  t.same([asked.length, said], [1, []])
})

t.test('a name that resolves later', async t => {
  let found: number[] | string = 'EAI_AGAIN'
  const { keeper, reader, said, asked, changes } = await open(t, () => found)
  t.same(lasts(keeper.addresses), [])
  t.same(said, ['warn: The name name.test of `remote` does not resolve (EAI_AGAIN): the tunnel waits for it.'])
  found = 'ENOTFOUND'
  await until(() => asked.length >= 5)
  const gaps = asked.slice(1).map((at, i) => at - asked[i])
  t.ok(gaps[3] > 35, `pauses grow: ${gaps.map(gap => gap.toFixed()).join(', ')}`)
  found = [7]
  await until(() => changes() === 1)
  t.same(lasts(reader.addresses), [7])
  t.same(said.slice(1), ['info: The name name.test of `remote` resolves now.'], 'one line each')
})

t.test('a resolver that does not answer does not keep the tunnel from its start', async t => {
  let answer: (found: number[]) => void = () => {}
  const late = new Promise<number[]>(resolve => {
    answer = resolve
  })
  const { keeper, reader, said, asked } = await open(t, () => late, { start: 20 })
  t.same(lasts(keeper.addresses), [])
  t.match(said, [/^warn: .* \(no answer yet\): the tunnel waits for it\.$/])
  answer([3])
  await until(() => reader.addresses.length > 0)
  t.same([lasts(reader.addresses), asked.length], [[3], 1])
})

t.test('an answer without an address of the right family', async t => {
  const { said } = await open(t, () => [])
  t.match(said, [/does not resolve \(no IPv4 address\)/])
})

t.test('doubts', async t => {
  let found: number[] | string = [1, 2]
  const { keeper, reader, said, asked, changes } = await open(t, () => found)
  let doubts = 0
  const doubt = async (times: number) => {
    for (let i = 0; i < times; i++) {
      // As if a second had passed: sooner, the reader would not tell it.
      reader.doubt(1_000 * ++doubts)
      await sleep(5)
    }
  }
  await doubt(40)
  t.ok(asked.length >= 4 && asked.length <= 9, `40 doubts in 200 ms: asked ${asked.length} times`)
  t.same([said, changes()], [[], 0])
  found = [2, 1]
  await doubt(60)
  t.same([lasts(keeper.addresses), lasts(reader.addresses), said], [[2, 1], [2, 1], []], 'another order is no news')
  found = [3]
  await doubt(60)
  t.same([lasts(reader.addresses), changes()], [[3], 2])
  t.same(said.splice(0), ['info: The name name.test of `remote` has moved.'])
  found = 'ENOTFOUND'
  await doubt(60)
  t.same(lasts(reader.addresses), [3])
  t.same(said.splice(0), [
    'warn: The name name.test of `remote` does not resolve (ENOTFOUND): its last addresses stay in use.',
  ])
  found = [3]
  await doubt(60)
  t.same(said, ['info: The name name.test of `remote` resolves now.'])
  t.equal(changes(), 2)
})

t.test('a reader tells its doubts a few times a second', async t => {
  const { reader, asked } = await open(t, () => [1])
  for (let i = 0; i < 20; i++) reader.doubt(1_000 + i)
  await sleep(60)
  t.equal(asked.length, 2)
})

t.test('a worker that begins late is told what is true now', async t => {
  const { keeper } = await open(t, () => [9])
  let told = 0
  const late = new NameReader({ addresses: [], channel: keeper.channel }, () => told++)
  t.teardown(() => late.close())
  await until(() => told > 0)
  t.same(lasts(late.addresses), [9])
})

t.test('an address is no name: there is nobody to ask', async t => {
  const reader = new NameReader({ addresses: [address(1)] }, () => t.fail())
  reader.doubt(1_000)
  t.same(lasts(reader.addresses), [1])
  reader.close()
})

t.test("the system's resolver", async t => {
  const found = await addressesOf('localhost', [4])
  t.same(found, [{ bytes: Uint8Array.of(127, 0, 0, 1), zone: '' }])
  await t.rejects(addressesOf('name.invalid', [4, 6]))
})

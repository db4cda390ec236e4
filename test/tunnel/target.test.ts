import t from 'tap'
import { Target } from '../../src/tunnel/target.js'
import type { UdpAddress } from '../../src/udp/socket.js'
import { FakeContext } from '../support/service.js'

const address = (last: number): UdpAddress => ({ bytes: Uint8Array.of(192, 0, 2, last), zone: '' })

const open = (...lasts: number[]) => {
  const context = new FakeContext()
  const target = new Target(context, { port: 5, addresses: lasts.map(address) }, () => {})
  return {
    context,
    target,
    /** Last byte of where to go. */
    refused: (last: number) => target.refused(address(last))?.bytes[3],
    current: () => target.current?.bytes[3],
  }
}

t.test('an address that refuses leads to the next one, for everybody', async t => {
  const { refused, current } = open(1, 2, 3)
  t.equal(current(), 1)
  t.equal(refused(1), 2)
  t.equal(current(), 2)
  t.equal(refused(1), 2, 'somebody who hears of it later')
  t.equal(refused(2), 3)
})

t.test('when all refuse they are tried again, with growing pauses', async t => {
  const { refused, context } = open(1, 2)
  const moves: (number | undefined)[] = []
  let at: number | undefined = 1
  for (let i = 0; i < 12; i++) {
    const next: number | undefined = refused(at)
    moves.push(next)
    at = next ?? at
  }
  t.same(moves.slice(0, 4), [2, 1, 2, undefined], 'two rounds at once')
  t.ok(moves.slice(4).every(move => move === undefined))
  const rounds: number[] = []
  for (let ms = 0; ms < 10_000; ms += 50) {
    context.clock += 50
    const next: number | undefined = refused(at)
    if (next === undefined) continue
    rounds.push(ms)
    at = next
  }
  t.ok(rounds.length >= 8 && rounds.length <= 18, `${rounds.length} moves in 10 s`)
})

t.test('an answer makes the pauses short again', async t => {
  const { target, refused, context } = open(1, 2)
  for (let at = 1, i = 0; i < 200; i++) {
    at = refused(at) ?? at
    context.clock += 50
  }
  target.answered(target.current!)
  const now = target.current!.bytes[3]
  context.clock += 2_000
  t.equal(refused(now), 3 - now)
})

t.test('a single address has no other', async t => {
  const { refused, current } = open(1)
  for (let i = 0; i < 5; i++) t.equal(refused(1), undefined)
  t.equal(current(), 1)
})

t.test('no address yet', async t => {
  const { refused, current, target } = open()
  t.equal(current(), undefined)
  t.equal(refused(1), undefined)
  t.notOk(target.has(address(1)))
})

t.test('what the name stands for', async t => {
  const { target } = open(1, 2)
  t.ok(target.has(address(2)))
  t.notOk(target.has(address(3)))
  t.equal(target.describe(address(2)), '192.0.2.2:5')
})

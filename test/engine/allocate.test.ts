import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { allocateStack } from '../../src/engine/allocate.js'
import { resolveOptions } from '../../src/engine/options.js'
import { ErrorCode } from '../../src/errors.js'
import type { SharedStack } from '../../src/memory/shared-stack.js'
import { StackMemory } from '../../src/memory/shared-stack.js'
import { native } from '../../src/native.js'
import { parseAddress } from '../../src/net/address.js'
import type { Device } from '../../src/net/device.js'
import { openDescriptors } from '../support/native.js'

const device = { queues: [100, 101], virtioSize: 10, mtu: 1_400 } as unknown as Device
const address4 = parseAddress('192.0.2.1', 'an address')

const allocate = (consumers: number, four = true) =>
  allocateStack(
    device,
    four ? address4 : undefined,
    undefined,
    resolveOptions({ device, consumers, maxConnections: 100, ringBytes: 2 ** 20 }),
  )

/** Closed with the test. */
const open = (t: Test, ...args: Parameters<typeof allocate>): SharedStack => {
  const shared = allocate(...args)
  t.teardown(() => {
    for (const fd of shared.bellFds) native.close(fd)
  })
  return shared
}

t.test('there is room for every queue, the main thread and those that may attach sockets', async t => {
  const shared = open(t, 3)
  const memory = new StackMemory(shared)
  t.equal(memory.threads, 2 + 1 + 3)
  t.equal(new Set(shared.bellFds).size, memory.threads, 'a doorbell each')
  const last = memory.threads - 1
  // Views reach as far as what they are over, or they throw.
  memory.counters(last)
  memory.bell(last)
  memory.laneFrom(1, last).close()
  t.equal(shared.claims.byteLength, 3 * 4)
  t.equal(shared.beats.byteLength, 2 * 4)
  t.equal(memory.flows.capacity, 100)
})

t.test('what the threads must know of device and addresses', async t => {
  const shared = open(t, 0)
  t.strictSame(shared.device, { queues: device.queues, virtioSize: 10, mtu: 1_400 })
  t.strictSame([shared.has4, shared.has6], [true, false])
  t.strictSame([shared.address4[0], [...shared.address6]], [0xc0000201 | 0, [0, 0, 0, 0]])
  t.equal(open(t, 0, false).has4, false)
})

t.test('no two stacks share a channel or a secret', async t => {
  const stacks = [1, 2, 3].map(() => open(t, 0))
  t.equal(new Set(stacks.map(({ channel }) => channel)).size, 3)
  t.equal(new Set(stacks.map(({ cookieKey }) => cookieKey.join())).size, 3)
})

/** Most descriptors that this process may have. */
const limitDescriptors = (soft: number | string): void => {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`])
  if (status !== 0) throw new Error(`prlimit: ${stderr}`)
}

t.test('without descriptors there is no stack, and none is kept', async t => {
  const before = openDescriptors()
  const { stdout } = spawnSync('prlimit', ['--pid', String(process.pid), '--nofile', '--noheadings', '--output=SOFT'])
  limitDescriptors(before + 50)
  t.teardown(() => limitDescriptors(String(stdout).trim()))
  t.throws(() => allocate(64), { code: ErrorCode.DEVICE, message: /ulimit -n/ })
  t.equal(openDescriptors(), before)
})

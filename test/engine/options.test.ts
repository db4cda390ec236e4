import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  connectNumbers,
  keepaliveNumbers,
  listenNumbers,
  resolveOptions,
  stackNumbers,
  virtualLinkNumbers,
} from '../../src/engine/options.js'
import { resolveTun, tunNumbers } from '../../src/engine/tun-options.js'
import { createVirtualLink } from '../../src/index.js'
import { workerNumbers } from '../../src/memory/worker-options.js'
import { type NumberOptions, whole } from '../../src/numbers.js'
import { serviceNumbers } from '../../src/tunnel/options.js'

const invalid = { code: 'ERR_FAKE_TCP_INVALID_ARGUMENT' }
const link = createVirtualLink()
t.teardown(() => {
  for (const device of link) device.close()
})
const [device] = link

t.test('every default is allowed', async t => {
  const tables: NumberOptions[] = [
    ...[stackNumbers, workerNumbers, keepaliveNumbers, connectNumbers, listenNumbers],
    ...[virtualLinkNumbers, tunNumbers],
  ]
  for (const table of tables) {
    for (const [name, option] of Object.entries(table)) t.doesNotThrow(() => whole(name, option.default ?? -1, option))
  }
})

/** How the reference may write a number. */
const written = (value: number): string[] => [
  String(value),
  value.toLocaleString('en-US'),
  ...(value % 2 ** 20 === 0 ? [`${value / 2 ** 20} MiB`] : []),
]

t.test('the reference has every number with its default', async t => {
  const reference = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8')
  const rows = [...reference.matchAll(/^\| `([\w.]+)` \| ([^|]*) \|/gmu)].map(([, name, value]) => ({ name, value }))
  const keepalive = Object.entries(keepaliveNumbers).map(([name, option]) => [`keepalive.${name}`, option] as const)
  for (const [name, option] of [
    ...Object.entries({ ...stackNumbers, ...workerNumbers, ...connectNumbers, ...listenNumbers, ...serviceNumbers }),
    ...Object.entries({ mtu: tunNumbers.mtu, txQueueLength: tunNumbers.txQueueLength }),
    ...keepalive,
  ]) {
    t.ok(
      rows.some(row => row.name === name && written(option.default).includes(row.value)),
      name,
    )
  }
})

t.test('options of a stack, complete', async t => {
  const resolved = resolveOptions({ device })
  for (const [name, { default: value }] of Object.entries(stackNumbers)) {
    t.equal(resolved[name as keyof typeof stackNumbers], value, name)
  }
  t.same(resolved.workers, { coalesceUs: 0 })
  t.match(resolved, { tun: undefined, keepalive: undefined, stackAddress: undefined, logger: undefined })
  const given = resolveOptions({ device, ringBytes: 1_000_000, coalesceUs: 7, stackAddress: '10.0.0.1', stuckAfter: 0 })
  t.match(given, {
    ringBytes: 1_000_000,
    workers: { coalesceUs: 7 },
    stackAddress: { text: '10.0.0.1' },
    stuckAfter: 0,
  })
})

t.test('what asks for signs of life', async t => {
  t.same(resolveOptions({ device, keepalive: {} }).keepalive, { interval: 15_000, probes: 3 })
  t.same(resolveOptions({ device, keepalive: { interval: 500 } }).keepalive, { interval: 500, probes: 3 })
  for (const keepalive of [{ interval: 499 }, { probes: 0 }, { probes: 101 }]) {
    t.throws(() => resolveOptions({ device, keepalive }), { ...invalid, message: /^`keepalive\.\w+` must be/ })
  }
})

t.test('options of a TUN interface, complete', async t => {
  const pair = { hostAddress: '192.168.200.1', stackAddress: '192.168.200.2' }
  t.match(resolveTun(pair), {
    name: '',
    mtu: 1_500,
    txQueueLength: 1_000,
    offload: true,
    ifAddressesTaken: 'error',
    ifNoIPv6: 'error',
    pairs: [{ host: { text: '192.168.200.1' }, stack: { text: '192.168.200.2' } }],
    adopted: undefined,
  })
  const six = { hostAddress6: 'fc00::1', stackAddress6: 'fc00::2' }
  t.match(resolveTun({ ...pair, ...six, mtu: 1_280 }), { mtu: 1_280, pairs: { length: 2 } })
  t.match(resolveTun({ ...pair, mtu: 576 }), { mtu: 576 })
})

t.test('a TUN interface of somebody else', async t => {
  const adopt = (options: object) => resolveTun({ descriptors: [3], ...options })
  t.match(adopt({ stackAddress: '10.0.0.2' }), {
    pairs: { length: 0 },
    adopted: { descriptors: [3], stackAddress: { text: '10.0.0.2' }, stackAddress6: undefined },
  })
  for (const [options, message] of [
    [{}, /needs `tun\.stackAddress` or `tun\.stackAddress6`/],
    [{ stackAddress: 'x' }, /^`tun\.stackAddress` must be an IPv4 address/],
    [{ stackAddress6: 'fc00::2', mtu: 1_279 }, /^`tun\.mtu` must be a whole number from 1280/],
    [{ stackAddress: '10.0.0.2', descriptors: [] }, /^The number of `tun\.descriptors` must be/],
    [{ stackAddress: '10.0.0.2', descriptors: [-1] }, /^Each of `tun\.descriptors` must be/],
  ] as const) {
    t.throws(() => adopt(options), { ...invalid, message }, JSON.stringify(options))
  }
})

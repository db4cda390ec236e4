/** TUN interfaces on machines that are not as we would like them. Runs in a private network namespace. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { tryOffloads } from '../../src/engine/trial.js'
import { openTun } from '../../src/engine/tun.js'
import { resolveTun } from '../../src/engine/tun-options.js'
import { ErrorCode, Stack, type StackOptions, type TunOptions } from '../../src/index.js'
import { Netlink } from '../../src/net/netlink.js'

const ip = (...args: string[]): void => {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}
const sysctl = (path: string, value: string): void => writeFileSync(`/proc/sys/net/${path}`, value)
const netlink = new Netlink()
t.teardown(() => netlink.close())
ip('link', 'set', 'lo', 'up')

const four = { hostAddress: '192.168.200.1', stackAddress: '192.168.200.2' }
const six = { hostAddress6: 'fcc8::1', stackAddress6: 'fcc8::2' }

interface Said {
  readonly level: string
  readonly text: string
}

const logger = () => {
  const said: Said[] = []
  const at = (level: string) => (_: unknown, text: string) => said.push({ level, text })
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { said, log: log as unknown as NonNullable<StackOptions['logger']> }
}

const open = (t: Test, options: TunOptions, log?: StackOptions['logger']) => {
  const device = openTun(resolveTun({ queues: 1, ...options }), log)
  t.teardown(() => device.close())
  return device
}

const until = async (t: Test, test: () => boolean, what: string, ms = 3_000): Promise<void> => {
  for (let waited = 0; waited < ms; waited += 10) {
    if (test()) return
    await sleep(10)
  }
  t.fail(`no ${what} within ${ms} ms`)
}

t.test('IPv6 is switched off', async t => {
  for (const name of ['all', 'default']) sysctl(`ipv6/conf/${name}/disable_ipv6`, '1')
  t.teardown(() => {
    for (const name of ['all', 'default']) sysctl(`ipv6/conf/${name}/disable_ipv6`, '0')
  })
  const wrong = { code: ErrorCode.NO_IPV6, message: /IPv6 is switched off on this machine/ }
  t.throws(() => open(t, { ...four, ...six }), wrong, 'asked for')
  t.throws(() => open(t, { ...six, ifNoIPv6: 'ipv4' }), wrong, 'nothing else is left')
  const { said, log } = logger()
  const device = open(t, { ...four, ...six, ifNoIPv6: 'ipv4' }, log)
  t.equal(device.stackAddress?.text, '192.168.200.2')
  t.equal(device.stackAddress6, undefined)
  t.match(device.features.ipv6, { used: false, reason: /IPv6 is switched off/ })
  t.match(said, [{ level: 'warn', text: /IPv6 is switched off .*: going on with IPv4$/ }])
  t.equal(said.length, 1)
})

t.test('addresses that somebody has', async t => {
  const first = open(t, { ...four, ...six })
  const taken = (end: RegExp) => ({ code: ErrorCode.ADDRESS_TAKEN, message: end })
  const names = netlink.links().map(({ name }) => name)
  t.throws(() => open(t, four), taken(/^`tun\.stackAddress` cannot be used: 192\.168\.200\.2 is in use on tun\d+\./))
  t.throws(() => open(t, six), taken(/^`tun\.stackAddress6` cannot be used: fcc8::2 is in use on tun\d+\./))
  t.throws(
    () => open(t, { hostAddress: '10.9.9.1', stackAddress: '192.168.200.1' }),
    taken(/192\.168\.200\.1 is an address of this machine already/),
  )
  t.same(
    netlink.links().map(({ name }) => name),
    names,
    'nothing was made',
  )

  const { said, log } = logger()
  const second = open(t, { ...four, ...six, ifAddressesTaken: 'others', ifAddressesTaken6: 'others' }, log)
  t.equal(second.stackAddress?.text, '192.168.202.2')
  t.equal(second.stackAddress6?.text, 'fcca::2')
  t.match(said, [
    {
      level: 'warn',
      text: /192\.168\.200\.2 is in use on tun\d+\): 192\.168\.202\.1 and 192\.168\.202\.2 are used instead/,
    },
    { level: 'warn', text: /fcc8::2 is in use on tun\d+\): fcca::1 and fcca::2 are used instead/ },
  ])
  const third = open(t, { ...four, ifAddressesTaken: 'others' })
  t.equal(third.stackAddress?.text, '192.168.204.2')
  t.not(first.name, second.name)
})

t.test('a network that uses the default addresses', async t => {
  ip('link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'far')
  t.teardown(() => ip('link', 'delete', 'lan'))
  ip('address', 'add', '192.168.200.57/24', 'dev', 'lan')
  ip('link', 'set', 'lan', 'up')
  ip('link', 'set', 'far', 'up')
  ip('route', 'add', 'default', 'via', '192.168.200.1')
  const message = /192\.168\.200\.\d (is in use on|belongs to the network on) lan/
  t.throws(() => open(t, four), { code: ErrorCode.ADDRESS_TAKEN, message })
  t.throws(() => open(t, { ...four, stackAddress: '10.9.9.2' }), { code: ErrorCode.ADDRESS_TAKEN, message })
  t.equal(open(t, { ...four, ifAddressesTaken: 'others' }).stackAddress?.text, '192.168.202.2')
  t.equal(
    open(t, { hostAddress: '192.168.200.57', stackAddress: '10.9.9.2' }).stackAddress?.text,
    '10.9.9.2',
    'unnumbered',
  )
  ip('route', 'add', 'blackhole', '172.16.0.0/12')
  t.equal(open(t, { hostAddress: '172.16.9.1', stackAddress: '172.16.9.2' }).stackAddress?.text, '172.16.9.2')
})

t.test('an interface that others meddle with', async t => {
  const { said, log } = logger()
  const stack = await Stack.open({ tun: { ...four, ...six, queues: 1 }, logger: log })
  t.teardown(() => stack.close())
  const name = stack.device
  const index = netlink.link(name)?.index ?? 0
  const leads = (text: string) => {
    const bytes = text.includes(':')
      ? Uint8Array.of(0xfc, 0xc8, ...new Array(13).fill(0), 2)
      : Uint8Array.of(192, 168, 200, 2)
    return netlink.route(bytes)?.index === index
  }
  const well = () => netlink.link(name)?.up === true && leads('192.168.200.2') && leads('fcc8::2')
  await until(t, well, 'beginning')
  await sleep(300)
  t.same(said, [], 'nothing to say of an interface that is well')

  const meddled = async (what: RegExp, ...args: string[]): Promise<void> => {
    said.length = 0
    ip(...args)
    await until(t, () => said.length > 0, `word of ${args.join(' ')}`)
    await until(t, well, `repair after ${args.join(' ')}`)
    t.match(said[0], { level: 'warn', text: what })
  }
  await meddled(/had lost the link/, 'link', 'set', name, 'down')
  await meddled(
    /had lost the address 192\.168\.200\.1: put back/,
    'address',
    'flush',
    'dev',
    name,
    'scope',
    'global',
    'to',
    '192.168.200.1',
  )
  await meddled(/had lost the address fcc8::1/, '-6', 'address', 'flush', 'dev', name, 'scope', 'global')
  await meddled(/had lost the route to 192\.168\.200\.2/, 'route', 'delete', '192.168.200.2', 'dev', name)
  await meddled(/had lost the route to fcc8::2/, '-6', 'route', 'delete', 'fcc8::2', 'dev', name)

  said.length = 0
  ip('address', 'add', '192.168.200.2/32', 'dev', 'lo')
  await until(t, () => said.length > 0, 'word of a taken address', 12_000)
  t.match(said, [{ level: 'error', text: /packets to 192\.168\.200\.2 do not reach tun\d+: lo has taken them over/ }])
  ip('address', 'delete', '192.168.200.2/32', 'dev', 'lo')
  await until(t, well, 'way back', 12_000)
})

t.test('super-packets are tried', async t => {
  t.match(
    await tryOffloads(
      open(t, {
        hostAddress: '10.9.9.1',
        stackAddress: '10.9.9.2',
        hostAddress6: 'fd09::1',
        stackAddress6: 'fd09::2',
        queues: 2,
      }),
    ),
    {
      superPacketsOut: { used: true },
      superPacketsIn: { used: true },
      complete: true,
    },
  )
  // On a busy machine a trial may take too long, and be given up.
  let { said, log } = logger()
  let stack = await Stack.open({ tun: { ...four, ...six, queues: 2 }, logger: log })
  for (let i = 0; i < 10 && said.some(({ text }) => text.includes('could not be tried')); i++) {
    await stack.close()
    ;({ said, log } = logger())
    stack = await Stack.open({ tun: { ...four, ...six, queues: 2 }, logger: log })
  }
  t.teardown(() => stack.close())
  t.match(stack.stats(), {
    offload: true,
    features: {
      superPacketsOut: { used: true },
      superPacketsIn: { used: true },
      queues: { used: true },
      ipv6: { used: true },
    },
  })
  t.same(said, [])
  const { drops } = stack.stats().total
  t.same(
    Object.entries(drops).filter(([name, count]) => count > 0 && name !== 'otherProtocol'),
    [],
    'the trial leaves no trace',
  )
})

t.test('other interfaces of this machine do not make an unconcerned path smaller', async t => {
  ip('link', 'add', 'wan', 'type', 'veth', 'peer', 'name', 'isp')
  t.teardown(() => ip('link', 'delete', 'wan'))
  ip('address', 'add', '10.4.0.1/24', 'dev', 'wan')
  ip('link', 'set', 'wan', 'up', 'mtu', '1400')
  ip('link', 'set', 'isp', 'up')
  const stack = await Stack.open({ tun: { ...four, queues: 1, mtu: 9_000 } })
  t.teardown(() => stack.close())
  sysctl('ipv4/ip_forward', '1')
  const other = await Stack.open({
    tun: { hostAddress: '192.168.201.1', stackAddress: '192.168.201.2', queues: 1, mtu: 9_000 },
  })
  t.teardown(() => other.close())
  const listener = other.listen(4567)
  const [near] = await Promise.all([stack.connect('192.168.201.2', 4567), listener.accept()])
  t.equal(near.maxDatagram, 9_000 - 40, 'another TUN of this machine')
})

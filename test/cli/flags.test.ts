import { readFileSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import t from 'tap'
import { type Flag, flags, flagsOf, keyOf, longName, put, type Settings } from '../../src/cli/flags.js'
import { inFlags } from '../../src/cli/in-flags.js'
import { resolveClient, resolveServer } from '../../src/tunnel/options.js'
import { allTexts } from '../messages/texts.js'
import { docs, withFlags } from './flag-docs.js'

const named = (name: string): Flag => {
  const found = flags.find(flag => longName(flag) === name)
  if (found === undefined) throw new Error(`no flag ${name}`)
  return found
}

t.test('the table of flags in the documents', async t => {
  const text = readFileSync(docs, 'utf8')
  t.equal(withFlags(text), text, 'run node dist/test/cli/flag-docs.js')
})

t.test('a flag is there once per command, and so is its setting', async t => {
  for (const role of ['client', 'server'] as const) {
    for (const distinct of [keyOf, (flag: Flag) => flag.setting]) {
      const all = flagsOf(role).map(distinct)
      t.equal(new Set(all).size, all.length, role)
    }
  }
  t.equal(keyOf(named('--ipv4-only')), 'ipv4-only')
  t.equal(keyOf(named('--no-offload')), 'offload')
})

t.test('values as they are typed, and as a file has them', async t => {
  for (const [name, given, wanted] of [
    ['--queues', '4', 4],
    ['--queues', 4, 4],
    ['--idle-timeout', '10', 10_000],
    ['--idle-timeout', 604_800, 604_800_000],
    ['--keepalive', '15', { interval: 15_000 }],
    ['--keepalive', 0, null],
    ['--tun-fd', '3,4', [3, 4]],
    ['--tun-fd', [3, 4], [3, 4]],
    ['--tun-peer6', 'FC00:0::1', 'fc00::1'],
    ['--log-level', 'warn', 'warn'],
    ['--no-offload', false, false],
  ] as const) {
    t.same(named(name).read(given), wanted, `${name} ${given}`)
  }
  for (const [name, given, message] of [
    ['--queues', '0', 'It must be from 1 to 256.'],
    ['--queues', 257, 'It must be from 1 to 256.'],
    ['--queues', '4.5', 'It must be a whole number.'],
    ['--queues', true, 'It must be a whole number.'],
    ['--queues', [4], 'It must be a whole number.'],
    ['--idle-timeout', '0', 'It must be from 1 to 604800.'],
    ['--idle-timeout', 604_801, 'It must be from 1 to 604800.'],
    ['--keepalive', '86401', 'It must be from 0 to 86400.'],
    ['--tun-fd', '3,x', 'It must be a whole number.'],
    ['--tun-local', 'fc00::1', 'It must be an IPv4 address, not "fc00::1".'],
    ['--tun-local', 5, 'It must be text.'],
    ['--log-level', 'loud', /^It must be one of trace, debug, /],
    ['--ipv4-only', 'yes', 'It must be true or false.'],
  ] as const) {
    const flag = named(name)
    t.throws(() => flag.read(given), { constructor: InvalidArgumentError, message }, `${name} ${given}`)
  }
})

t.test('defaults that are shown are the ones that hold', async t => {
  const options = { remote: '192.0.2.1:4567' }
  const resolved = {
    client: resolveClient({ ...options, local: '127.0.0.1:4500' }),
    server: resolveServer({ ...options, local: 4567 }),
  }
  for (const role of ['client', 'server'] as const) {
    const settings: Partial<Settings> = {}
    for (const flag of flagsOf(role)) if (flag.default) put(settings, flag, flag.read(flag.default(role)))
    const { stack, services } = resolved[role]
    const { hostAddress, stackAddress, hostAddress6, stackAddress6 } = stack.tun ?? {}
    t.match(settings, { tun: { hostAddress, stackAddress, hostAddress6, stackAddress6 }, ...services }, role)
    t.match(settings, { coalesceUs: 0, keepalive: { interval: 15_000 }, tun: { mtu: 1_500 } })
  }
})

t.test('what the library says with the name of an option', async t => {
  for (const [sentence, wanted] of [
    ['`tun.hostAddress6` and `tun.stackAddress` go together', '--tun-local6 and --tun-peer go together'],
    ['All 8 connections are in use: raise `maxConnections`.', 'All 8 connections are in use: raise --max-flows.'],
    ['take a smaller `maxConnections` or `ringBytes`.', 'take a smaller --max-flows.'],
    ['super-packets: no, `tun.offload` is off.', 'super-packets: no, --no-offload was given.'],
    ['`remote` is an IPv6 address, and `ipv4Only` leaves', '--remote is an IPv6 address, and --ipv4-only leaves'],
    ['`keepalive.interval` must be', '--keepalive must be'],
    ['the remote user refused it', 'the remote user refused it'],
  ]) {
    t.equal(inFlags(sentence), wanted)
  }
})

t.test('no option that has a flag is named without being marked', async t => {
  // What follows a file's name are its texts.
  const texts = allTexts()
    .split('\n\n')
    .filter(part => !/^src\/(?:cli|demo|terminal)\//u.test(part))
  const names = [...new Set(flags.map(({ setting }) => setting)), 'maxConnections', 'ringBytes']
  const unmistakable = names.filter(name => /[.A-Z]/u.test(name))
  const unmarked = new RegExp(`(?<![\`.\\w])(?:${unmistakable.join('|').replaceAll('.', '\\.')})(?![\`\\w])`, 'u')
  for (const text of texts) {
    const [file, ...lines] = text.split('\n')
    // What a template fills in is code.
    for (const line of lines) t.notMatch(line.replaceAll(/\{[^{}]*\}/gu, ''), unmarked, file)
  }
})

import t from 'tap'
import { ErrorCode, FakeTcpError } from '../src/errors.js'
import { addonError, loadAddon } from '../src/load-addon.js'
import type { Addon } from '../src/native.js'

const missing = new Error('No native build was found for platform=linux')
const here = new RegExp(`linux-${process.arch}, Node\\.js ${process.versions.node.replaceAll('.', '\\.')}`, 'u')

t.test('the sentence names the machine and what helps there', async t => {
  const { code, message, cause } = addonError('/home/me/fake-tcp/', missing)
  t.equal(code, ErrorCode.ADDON)
  t.match(message, here)
  t.match(message, /glibc|musl/u)
  t.match(
    message,
    /^The addon of fake-tcp was not built .*: run `npm run build:native` in \/home\/me\/fake-tcp; it needs/u,
  )
  t.equal(cause, missing)
})

t.test('as an installed package', async t => {
  for (const [root, command] of [
    ['/srv/app/node_modules/fake-tcp/', 'npm --prefix /srv/app/node_modules/fake-tcp run build:native'],
    [
      '/srv/app/node_modules/.pnpm/fake-tcp@0.1.0/node_modules/fake-tcp/',
      'npm --prefix /srv/app/node_modules/.pnpm/fake-tcp@0.1.0/node_modules/fake-tcp run build:native',
    ],
    ['/srv/my app/node_modules/fake-tcp/', 'npm --prefix "/srv/my app/node_modules/fake-tcp" run build:native'],
  ]) {
    t.match(addonError(root, missing).message, `: run \`${command}\`; it needs`)
  }
})

t.test('an addon that was built for somebody else', async t => {
  const cause = Object.assign(new Error('fake_tcp.node: invalid ELF header\nand more'), { code: 'ERR_DLOPEN_FAILED' })
  t.match(
    addonError('/srv/fake-tcp/', cause).message,
    /cannot be loaded on this machine \(.*; fake_tcp\.node: invalid ELF header\): run/u,
  )
})

t.test('what is missing throws when it is used, not before', async t => {
  const { addon, fault } = loadAddon<Addon>(t.testdir({}))
  t.ok(fault instanceof FakeTcpError)
  t.throws(() => addon.clock(), { code: ErrorCode.ADDON })
  t.throws(() => new addon.Poller(0, 0, () => {}), { code: ErrorCode.ADDON })
})

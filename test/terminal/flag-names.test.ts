import t from 'tap'
import { inFlags } from '../../src/terminal/flag-names.js'
import { allTexts } from '../messages/texts.js'

t.test('sentences of the library in the words of the command line', async t => {
  const rows = [
    [
      'tun.mtu must be a whole number from 1280 to 65535, not 100.',
      '--mtu must be a whole number from 1280 to 65535, not 100.',
    ],
    ['tun.hostAddress and tun.stackAddress6 go together', '--tun-local and --tun-peer6 go together'],
    ['All 8 connections are in use: raise maxConnections.', 'All 8 connections are in use: raise --max-flows.'],
    ['the kernel refused it', 'the kernel refused it'],
  ]
  for (const [sentence, wanted] of rows) t.equal(inFlags(sentence), wanted)
})

t.test('no option of a TUN interface is left without its flag', async t => {
  const options = new Set(allTexts().match(/(?<![/-])\btun\.[a-z][a-zA-Z0-9]*/gu))
  t.ok(options.size > 5)
  for (const option of options) {
    // No command sets it.
    if (option === 'tun.txQueueLength') continue
    const sentence = option === 'tun.offload' ? 'tun.offload is off' : `${option} is wrong`
    t.notMatch(inFlags(sentence), /\btun\./u, option)
  }
})

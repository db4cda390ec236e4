import t from 'tap'
import { flagReword } from '../../src/terminal/flag-names.js'

const names = new Map([
  ['remote', '--remote'],
  ['tun.mtu', '--mtu'],
  ['keepalive', '--keepalive'],
])
const reword = flagReword(names, { '`off` is on': 'on is off', 'less of `off` is on': 'more' })

t.test('sentences of the library in the words of the command line', async t => {
  for (const [sentence, wanted] of [
    ['`tun.mtu` must be 5, and so must `remote`.', '--mtu must be 5, and so must --remote.'],
    ['`keepalive.interval` must be 5', '--keepalive must be 5'],
    ['the remote end refused it, tun.mtu too', 'the remote end refused it, tun.mtu too'],
    [
      'run `npm run build`, or raise `ringBytes` or `tun.name`',
      'run `npm run build`, or raise `ringBytes` or `tun.name`',
    ],
    ['since `off` is on', 'since on is off'],
    ['less of `off` is on', 'more'],
  ]) {
    t.equal(reword(sentence), wanted)
  }
})

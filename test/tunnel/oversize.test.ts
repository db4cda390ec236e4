import t from 'tap'
import { sayOversize } from '../../src/tunnel/oversize.js'
import { FakeContext } from '../support/service.js'

t.test('said once for a flow, with the MTU that helps', async t => {
  const context = new FakeContext()
  const flow = { flow: { maxDatagram: 1_440 }, fields: { peer: 'x' }, saidOversize: false }
  sayOversize(context, flow, 1_500)
  sayOversize(context, flow, 1_501)
  t.equal(context.said.length, 1)
  t.match(context.said[0], /^warn: A datagram of 1500 bytes was dropped: .* at most 1440\..* WireGuard's to 1408,/)
  sayOversize(context, { ...flow, saidOversize: false }, 1_500)
  t.equal(context.said.length, 2, 'another flow')
})

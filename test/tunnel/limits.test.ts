import t from 'tap'
import { clientFlowLimit, serverFlowLimit } from '../../src/tunnel/limits.js'
import { planPorts } from '../../src/tunnel/port-plan.js'

const ports = planPorts(() => '32768 60999')
const machine = { queues: 2, ports, isLoopback: true, freeDescriptors: 1_000_000 }

t.test('a server', async t => {
  t.same(serverFlowLimit(undefined, machine), { maxFlows: 32_768, because: undefined })
  t.same(serverFlowLimit(100, machine), { maxFlows: 100, because: undefined })
  t.same(serverFlowLimit(500_000, machine), { maxFlows: 500_000, because: undefined })
  t.match(serverFlowLimit(undefined, { ...machine, freeDescriptors: 1_000 }), {
    maxFlows: 1_000 - 16 - 64,
    because: /file descriptor.*ulimit/,
  })
  t.match(serverFlowLimit(undefined, { ...machine, freeDescriptors: 50 }), { maxFlows: 1 })
  t.match(serverFlowLimit(undefined, { ...machine, isLoopback: false }), { maxFlows: 27_304, because: /source port/ })
  const { isLoopback, queues } = machine
  t.ok(serverFlowLimit(1, { isLoopback, queues, ports }).maxFlows === 1, "this process's descriptors")
})

t.test('a client', async t => {
  t.same(clientFlowLimit(undefined), { maxFlows: 28_232, because: undefined })
  t.same(clientFlowLimit(7), { maxFlows: 7, because: undefined })
  t.match(clientFlowLimit(100_000), { maxFlows: 28_232, because: /port of its own/ })
})

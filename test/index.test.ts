import { readFileSync } from 'node:fs'
import t from 'tap'
import * as surface from '../src/index.js'
import { text } from './support/datagrams.js'
import { connectPair, openStacks } from './support/stacks.js'

t.test('what the package gives away', async t => {
  const { createVirtualLink, ErrorCode, FakeTcpError, Listener, Socket, Stack } = surface
  for (const value of [createVirtualLink, FakeTcpError, Listener, Socket, Stack]) t.type(value, 'function')
  t.type(ErrorCode, 'object')
  const { exports } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.same(exports['.'], { types: './dist/src/index.d.ts', default: './dist/src/index.js' })
})

t.test('codes are stable', async t => {
  const codes = Object.entries(surface.ErrorCode)
  t.same(
    codes.filter(([name, code]) => code !== `ERR_FAKE_TCP_${name}`),
    [['ABORTED', 'ABORT_ERR']],
    'Node.js has its own code for an abort',
  )
  const error = new surface.FakeTcpError(surface.ErrorCode.CLOSED, 'It is closed.', { cause: 5 })
  t.ok(error instanceof Error)
  t.match(error, { name: 'FakeTcpError', code: 'ERR_FAKE_TCP_CLOSED', message: 'It is closed.', cause: 5 })
})

t.test('classes can be told', async t => {
  const stacks = await openStacks(t)
  const { client, server, listener } = await connectPair(stacks)
  t.ok(stacks.a instanceof surface.Stack)
  t.ok(listener instanceof surface.Listener)
  t.ok(client instanceof surface.Socket)
  client.send(Buffer.from('hello'))
  t.equal(text(await server.recv()), 'hello')
})

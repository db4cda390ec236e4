/** Cannot start. */
import { type AnyErrorCode, FakeTcpError } from '../../src/errors.js'
import type { ServiceFactory } from '../../src/workers/service.js'

const bad: ServiceFactory = context => {
  const { code, ours } = context.data as { code: AnyErrorCode; ours: boolean }
  const message = 'it will not start'
  throw ours ? new FakeTcpError(code, message) : Object.assign(new Error(message), { code })
}

export default bad

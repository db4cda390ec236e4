/** Cannot start. */
import type { ServiceFactory } from '../../src/workers/service.js'

const bad: ServiceFactory = context => {
  const code = context.data as string | undefined
  throw Object.assign(new Error('it will not start'), { code })
}

export default bad

/** Has much to say, all at once. */
import type { ServiceFactory } from '../../src/workers/service.js'

/** Lines that it logs. */
export const chatter = 10_000

const chatty: ServiceFactory = context => {
  context.after(5, () => {
    for (let i = 0; i < chatter; i++) context.log('info', 'test:many', 'one of many', { i })
  })
  return { opened() {}, received() {}, closed() {}, stop() {} }
}

export default chatty

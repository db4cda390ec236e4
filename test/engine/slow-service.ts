/** Takes longer to start than anybody waits. */
import type { ServiceFactory } from '../../src/workers/service.js'

const slow: ServiceFactory = () => new Promise(() => {})

export default slow

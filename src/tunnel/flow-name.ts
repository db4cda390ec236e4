import { endpoint, fromWords } from '../net/address.js'
import type { ServiceFlow } from '../workers/service.js'

/** A connection by its other end: 'address:port'. */
export const flowName = ({ tuple }: ServiceFlow): string =>
  endpoint(fromWords(tuple.family, tuple.remote).text, tuple.ports >>> 16)

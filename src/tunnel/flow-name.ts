import { endpoint } from '../net/address.js'
import type { ServiceFlow } from '../workers/service.js'

/** A connection by its other end: 'address:port'. */
export const flowName = ({ remoteAddress, remotePort }: ServiceFlow): string => endpoint(remoteAddress, remotePort)

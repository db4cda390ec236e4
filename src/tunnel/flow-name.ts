import { endpoint } from '../net/address.js'
import type { ServiceFlow } from '../workers/service.js'

/** The peer of a connection as log lines name it: 'address:port'. */
export const flowName = ({ remoteAddress, remotePort }: ServiceFlow): string => endpoint(remoteAddress, remotePort)

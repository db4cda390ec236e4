import type { ServiceContext, ServiceFlow } from '../workers/service.js'

/** Sends a datagram of its own memory: the handshake packet, or one that was held while the connection opened. */
export const sendSingle = (context: ServiceContext, flow: ServiceFlow, datagram: Uint8Array): void => {
  if (datagram.length > flow.maxDatagram) context.count('oversizeDatagram')
  else flow.send(datagram)
}

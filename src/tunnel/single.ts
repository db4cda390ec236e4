import type { TunnelContext } from './counters.js'
import type { Intake } from './intake.js'
import { sayOversize } from './oversize.js'

/**
 * Sends one datagram that is not in the receive buffer: the handshake packet, or a held one. Counts it if too large.
 */
export const sendSingle = (context: TunnelContext, intake: Intake, datagram: Uint8Array): void => {
  const { flow } = intake
  if (datagram.length <= flow.maxDatagram) {
    flow.send(datagram)
    return
  }
  context.count('oversizeDatagram')
  sayOversize(context, intake, datagram.length)
}

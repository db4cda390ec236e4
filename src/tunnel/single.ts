import type { TunnelContext } from './counters.js'
import type { Intake } from './intake.js'
import { sayOversize } from './oversize.js'

/** Sends a datagram of its own memory: the handshake packet, or one that was held while the connection opened. */
export const sendSingle = (context: TunnelContext, intake: Intake, datagram: Uint8Array): void => {
  const { flow } = intake
  if (datagram.length <= flow.maxDatagram) {
    flow.send(datagram)
    return
  }
  context.count('oversizeDatagram')
  sayOversize(context, intake, datagram.length)
}

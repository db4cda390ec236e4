import type { ServiceContext } from '../workers/service.js'

/** Bytes that WireGuard adds to a packet: a header of 16 and an authentication tag of 16. */
const wireGuardBytes = 32

/** What `sayOversize` needs to know of a flow. */
interface Limited {
  readonly flow: { readonly maxDatagram: number }
  readonly fields: Record<string, unknown>
  saidOversize: boolean
}

/**
 * Logs that a datagram of `size` bytes was too large for its flow, and which MTU helps. Only the first call for a flow
 * logs.
 */
export const sayOversize = (context: ServiceContext, intake: Limited, size: number): void => {
  if (intake.saidOversize) return
  intake.saidOversize = true
  const { maxDatagram } = intake.flow
  const wireGuardMtu = maxDatagram - wireGuardBytes
  context.log(
    'warn',
    'datagram-oversize',
    `A datagram of ${size} bytes was dropped: this connection carries at most ${maxDatagram}. Lower the MTU of the program on top: WireGuard's to ${wireGuardMtu}, another one's so that its datagrams have at most ${maxDatagram} bytes.`,
    { ...intake.fields, size, maxDatagram, wireGuardMtu },
  )
}

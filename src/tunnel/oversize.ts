import type { ServiceContext } from '../workers/service.js'

/** Bytes that WireGuard adds to a packet. */
const wireGuardBytes = 32

/** A flow that may have datagrams that are too large for it. */
interface Limited {
  readonly flow: { readonly maxDatagram: number }
  readonly fields: Record<string, unknown>
  saidOversize: boolean
}

/**
 * The first time that a flow has a datagram of `size` bytes, which is too large for it: what is, and which MTU helps.
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

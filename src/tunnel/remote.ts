import type { StackOptions } from '../engine/options.js'
import { fromBytes } from '../net/address.js'
import { describeUdp } from '../udp/socket.js'
import { NameKeeper } from './name-keeper.js'
import type { ResolvedRemote } from './options.js'
import type { RemoteData } from './service-data.js'

/** The tunnel's `remote` in the main thread: an address, or a name with its `NameKeeper`. */
export interface Remote {
  readonly data: RemoteData
  /** 4 or 16 bytes each; empty while the name does not resolve. */
  addresses(): readonly Uint8Array[]
  /** `TunnelStatus.remote`. */
  describe(): string
  close(): void
}

/** Never rejects: a name that does not resolve within two seconds is looked up in the background. */
export const findRemote = async (
  { host, port, address }: ResolvedRemote,
  families: readonly (4 | 6)[],
  logger: StackOptions['logger'],
): Promise<Remote> => {
  if (address !== undefined) {
    return {
      data: { port, addresses: [address] },
      addresses: () => [address.bytes],
      describe: () => describeUdp(address, port),
      close: () => {},
    }
  }
  const name = await NameKeeper.open({ host, families, ...(logger && { logger }) })
  const describe = (): string => {
    const addresses = name.addresses.map(({ bytes }) => fromBytes(bytes).text).join(', ')
    return `${host}:${port} (${addresses === '' ? 'not resolved yet' : addresses})`
  }
  return {
    data: { port, addresses: name.addresses, channel: name.channel },
    addresses: () => name.addresses.map(({ bytes }) => bytes),
    describe,
    close: () => name.close(),
  }
}

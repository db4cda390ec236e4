import type { Test } from 'tap'
import type { Network } from '../../src/lab/network.js'
import { type Family, type Kind, loopback, ports, startClient, startServer } from '../support/programs.js'

export interface Pair {
  readonly client: Kind
  readonly server: Kind
}

export const pairs: readonly Pair[] = [
  { client: 'ours', server: 'ours' },
  { client: 'ours', server: 'phantun' },
  { client: 'phantun', server: 'ours' },
]

export const pairName = ({ client, server }: Pair): string => `${client} client, ${server} server`

/** Both ends of a tunnel that takes UDP at the loopback of A and hands it on at B's, both of this family; `host`: where the server is reached. */
export const startPair = async (t: Test, { a, b }: Network, pair: Pair, family: Family, host: string) => {
  const server = await startServer(t, b, { kind: pair.server, remote: `${loopback[family]}:${ports.service}` })
  const client = await startClient(t, a, {
    kind: pair.client,
    local: `${loopback[family]}:${ports.client}`,
    remote: `${host}:${ports.server}`,
  })
  return { server, client }
}

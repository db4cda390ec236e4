import type { Kind } from '../system/support/programs.js'

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

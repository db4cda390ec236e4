import { flagReword } from '../terminal/flag-names.js'
import { flags, longName } from './flags.js'

/** A sentence of the library in the words of whoever typed the command: flags instead of options. */
export const inFlags = flagReword(
  new Map(flags.map(flag => [flag.setting, longName(flag)])),
  Object.assign({}, ...flags.map(({ phrases }) => phrases)),
)

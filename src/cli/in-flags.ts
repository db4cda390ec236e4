import { flagReword } from '../terminal/flag-names.js'
import { flags, longName } from './flags.js'

/** Rewords a message of the library for users of the command: names of flags instead of names of options. */
export const inFlags = flagReword(
  new Map(flags.map(flag => [flag.setting, longName(flag)])),
  Object.assign({}, ...flags.map(({ phrases }) => phrases)),
)

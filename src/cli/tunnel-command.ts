import { type Command, Option } from 'commander'
import type { EventLog } from '../log/events.js'
import type { Role } from '../tunnel/options.js'
import type { Tunnel } from '../tunnel/tunnel.js'
import { type Flag, flagsOf, put, type Settings } from './flags.js'
import { defaultLevel } from './levels.js'
import { runTunnel } from './run-tunnel.js'

export interface TunnelCommand<Options> {
  readonly role: Role
  readonly description: string
  start(options: Options & { logger: EventLog }): Promise<Tunnel>
}

/** Adds `fake-tcp client` or `fake-tcp server`. */
export const addTunnelCommand = <Options>(
  program: Command,
  { role, description, start }: TunnelCommand<Options>,
): void => {
  const command = program.command(role).description(description)
  for (const flag of flagsOf(role)) command.addOption(optionOf(flag, role))
  command.action(async () => {
    const { logLevel = defaultLevel, ...options } = settingsOf(command, role)
    await runTunnel({
      role,
      logLevel,
      user: options.user,
      // `Options` is the tunnel's option type for this role: `flags` has a row for each required option.
      start: logger => start({ ...(options as Options), logger }),
    })
  })
}

const optionOf = (flag: Flag, role: Role): Option => {
  const help = flag.default === undefined && flag.defaultText ? `${flag.help}; default: ${flag.defaultText}` : flag.help
  const option = new Option(flag.flag, help)
  option.makeOptionMandatory(flag.required === true)
  // A flag that takes no value has no text to read.
  if (flag.flag.includes('<')) option.argParser(flag.read)
  return flag.default === undefined ? option : option.default(flag.default(role))
}

/**
 * The settings that the user typed. Defaults are left to the tunnel: so it can tell an address that the user chose from
 * a default one.
 */
const settingsOf = (command: Command, role: Role): Settings => {
  const settings = {} as Settings
  for (const flag of flagsOf(role)) {
    const name = new Option(flag.flag).attributeName()
    const source = command.getOptionValueSource(name)
    if (source !== undefined && source !== 'default') put(settings, flag, command.getOptionValue(name))
  }
  return settings
}

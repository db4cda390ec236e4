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
      // The table has a row for each of them.
      start: logger => start({ ...(options as Options), logger }),
    })
  })
}

const optionOf = (flag: Flag, role: Role): Option => {
  const help = flag.default === undefined && flag.defaultText ? `${flag.help}; default: ${flag.defaultText}` : flag.help
  const option = new Option(flag.flag, help)
  option.makeOptionMandatory(flag.required === true)
  // Those that stand alone have no text to read.
  if (flag.flag.includes('<')) option.argParser(flag.read)
  return flag.default === undefined ? option : option.default(flag.default(role))
}

/** What was typed. Defaults are the tunnel's own: it knows then which of its addresses were chosen. */
const settingsOf = (command: Command, role: Role): Settings => {
  const settings = {} as Settings
  for (const flag of flagsOf(role)) {
    const name = new Option(flag.flag).attributeName()
    const source = command.getOptionValueSource(name)
    if (source !== undefined && source !== 'default') put(settings, flag, command.getOptionValue(name))
  }
  return settings
}

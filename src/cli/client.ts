import type { Command } from 'commander'
import { startClient } from '../tunnel/tunnel.js'
import { runTunnel } from './run-tunnel.js'
import { addTunnelOptions, type TunnelFlags, tunnelOptions } from './tunnel-options.js'

export const addClient = (program: Command): void => {
  const command = program
    .command('client')
    .description('take UDP datagrams on a local port, carry them to a server')
    .requiredOption('-l, --local <IP:PORT>', 'where UDP datagrams are taken, IPv6 as "[IPv6]:PORT"')
    .requiredOption('-r, --remote <HOST:PORT>', 'the server: address or host name, IPv6 as "[IPv6]:PORT"')
  addTunnelOptions(command, '200', 'fcc8').action(async (flags: TunnelFlags & { local: string }) => {
    await runTunnel({
      role: 'client',
      local: flags.local,
      logLevel: flags.logLevel,
      user: flags.user,
      start: logger => startClient({ ...tunnelOptions(flags, command), local: flags.local, logger }),
    })
  })
}

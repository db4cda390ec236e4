import type { Command } from 'commander'
import { startClient } from '../tunnel/tunnel.js'
import { openLog } from './log.js'
import { runTunnel } from './run-tunnel.js'
import { preparePlace } from './status-places.js'
import { addTunnelOptions, type TunnelFlags, tunnelOptions } from './tunnel-options.js'

export const addClient = (program: Command): void => {
  const command = program
    .command('client')
    .description('take UDP datagrams on a local port, carry them to a server')
    .requiredOption('-l, --local <IP:PORT>', 'where UDP datagrams are taken, IPv6 as "[IPv6]:PORT"')
    .requiredOption('-r, --remote <HOST:PORT>', 'the server: address or host name, IPv6 as "[IPv6]:PORT"')
  addTunnelOptions(command, '200', 'fcc8').action(async (flags: TunnelFlags & { local: string }) => {
    const log = openLog(flags.logLevel)
    if (flags.user !== undefined) preparePlace(flags.user)
    const tunnel = await startClient({ ...tunnelOptions(flags), local: flags.local, logger: log })
    runTunnel('client', flags.local, tunnel, log)
  })
}

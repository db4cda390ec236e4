import type { Command } from 'commander'
import { startServer } from '../tunnel/tunnel.js'
import { runTunnel } from './run-tunnel.js'
import { addTunnelOptions, type TunnelFlags, tunnelOptions, wholeNumber } from './tunnel-options.js'

export const addServer = (program: Command): void => {
  const command = program
    .command('server')
    .description('accept fake-TCP connections, pass their datagrams on to a UDP service')
    .requiredOption('-l, --local <PORT>', 'TCP port to accept connections on', wholeNumber)
    .requiredOption('-r, --remote <HOST:PORT>', 'the UDP service: address or host name, IPv6 as "[IPv6]:PORT"')
  addTunnelOptions(command, '201', 'fcc9').action(async (flags: TunnelFlags & { local: number }) => {
    await runTunnel({
      role: 'server',
      local: `port ${flags.local}`,
      logLevel: flags.logLevel,
      user: flags.user,
      start: logger => startServer({ ...tunnelOptions(flags, command), local: flags.local, logger }),
    })
  })
}

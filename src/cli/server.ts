import type { Command } from 'commander'
import { startServer } from '../tunnel/tunnel.js'
import { addTunnelCommand } from './tunnel-command.js'

/** The command `fake-tcp server`: `flags` has its flags, `startServer` does its work. */
export const addServer = (program: Command): void =>
  addTunnelCommand(program, {
    role: 'server',
    description: 'accept fake-TCP connections, pass their datagrams on to a UDP service',
    start: startServer,
  })

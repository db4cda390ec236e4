import type { Command } from 'commander'
import { startServer } from '../tunnel/tunnel.js'
import { addTunnelCommand } from './tunnel-command.js'

/** Adds `fake-tcp server`. */
export const addServer = (program: Command): void =>
  addTunnelCommand(program, {
    role: 'server',
    description: 'accept fake-TCP connections, pass their datagrams on to a UDP service',
    start: startServer,
  })

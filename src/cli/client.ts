import type { Command } from 'commander'
import { startClient } from '../tunnel/tunnel.js'
import { addTunnelCommand } from './tunnel-command.js'

/** The command `fake-tcp client`: `flags` has its flags, `startClient` does its work. */
export const addClient = (program: Command): void =>
  addTunnelCommand(program, {
    role: 'client',
    description: 'take UDP datagrams on a local port, carry them to a server',
    start: startClient,
  })

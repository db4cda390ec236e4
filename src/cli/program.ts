import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { Command, CommanderError } from 'commander'
import { explain } from '../terminal/explain.js'
import { print, say } from '../terminal/output.js'
import { addClient } from './client.js'
import { addDemo } from './demo.js'
import { addDoctor } from './doctor.js'
import { inFlags } from './in-flags.js'
import { addServer } from './server.js'
import { addStatus } from './status.js'

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string }

const makeProgram = (): Command => {
  const program = new Command('fake-tcp')
    .description('Carries UDP through networks that only let TCP pass.')
    .version(version, '-V, --version')
    .configureHelp({ sortOptions: false })
    .configureOutput({ writeOut: print, writeErr: say })
    .showHelpAfterError('Run with --help to see every option.')
    .exitOverride()
  addClient(program)
  addServer(program)
  addDemo(program)
  addDoctor(program)
  addStatus(program)
  return program
}

/** Runs the command line and sets the exit code. */
export const run = async (): Promise<void> => {
  // V8 would collect garbage whenever the tunnel is quiet. That frees a few megabytes, and delays datagrams by some
  // milliseconds.
  setFlagsFromString('--no-memory-reducer')
  try {
    await makeProgram().parseAsync()
  } catch (error) {
    // commander has printed the message of a CommanderError already.
    process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : explain(error, inFlags)
  }
}

import { spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'

/**
 * The lab's outer wall: a network namespace of our own, so that nothing in it can reach or change the machine's
 * network. It has no name, and is gone with its last process.
 */
const variable = 'FAKE_TCP_LAB'

export const namespaceOf = (pid: number | 'self'): string => readlinkSync(`/proc/${pid}/ns/net`)

export interface Entry {
  /** Put these words in front of a command line … */
  readonly command: readonly string[]
  /** … and this into its environment. */
  readonly env: Readonly<Record<string, string>>
}

/** How to start a process inside: as root with `unshare --net`, else through a user namespace. */
export const enter = (): Entry => {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  return { command: ['unshare', ...user, '--net'], env: { [variable]: namespaceOf('self') } }
}

/** Why no private namespace can be made here, or undefined. */
export const unavailable = (): string | undefined => {
  for (const [tool, flag] of [
    ['unshare', '--version'],
    ['nsenter', '--version'],
    ['ip', '-V'],
    ['sysctl', '--version'],
  ]) {
    if (spawnSync(tool, [flag], { stdio: 'ignore' }).status !== 0) {
      return `The program ${tool} is missing: install util-linux, iproute2 and procps (Debian: apt-get install util-linux iproute2 procps).`
    }
  }
  const [program, ...args] = enter().command
  if (spawnSync(program, [...args, 'true'], { stdio: 'ignore' }).status === 0) return undefined
  return 'A private network namespace cannot be made: run as root, or allow user namespaces.'
}

/** Throws unless this process was started through `enter`: the machine's own network must not be touched. */
export const assertPrivate = (): void => {
  const outside = process.env[variable]
  if (outside === undefined || outside === namespaceOf('self')) throw new Error('not in a private network namespace')
}

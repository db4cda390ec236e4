import { spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'

/**
 * Environment variable that marks processes inside the lab, with the network namespace outside of it as its value. The
 * lab runs in a network namespace of its own, so that it can neither reach nor change the machine's network. That
 * namespace has no name, and the kernel removes it with its last process.
 */
const variable = 'FAKE_TCP_LAB'

/** Identity of a process's network namespace: 'net:[4026531840]'. */
export const namespaceOf = (pid: number | 'self'): string => readlinkSync(`/proc/${pid}/ns/net`)

/** How to start a process inside the lab. */
export interface Entry {
  /** Words to put before its command line. */
  readonly command: readonly string[]
  /** Variables to add to its environment. */
  readonly env: Readonly<Record<string, string>>
}

/** Uses `unshare --net`, for users other than root together with a user namespace. */
export const enter = (): Entry => {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  return { command: ['unshare', ...user, '--net'], env: { [variable]: namespaceOf('self') } }
}

/** One sentence that says why no private network namespace can be made here; undefined when it can. */
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

/** Throws unless this process was started through `enter`, so that nothing touches the machine's own network. */
export const assertPrivate = (): void => {
  const outside = process.env[variable]
  if (outside === undefined || outside === namespaceOf('self')) throw new Error('not in a private network namespace')
}

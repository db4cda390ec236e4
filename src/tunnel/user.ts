import { spawnSync } from 'node:child_process'
import { ErrorCode, FakeTcpError, invalid } from '../errors.js'

/**
 * Changes user and group of the whole process, every thread of it, and drops its supplementary groups. `name`: a user's
 * name or number. Throws INVALID_ARGUMENT when there is no such user, PERMISSION when the kernel refuses.
 */
export const becomeUser = (name: string): void => {
  const { status, stdout } = spawnSync('id', ['-g', '--', name], { encoding: 'utf8' })
  if (status !== 0) throw invalid(`There is no user ${JSON.stringify(name)}.`)
  try {
    process.setgroups?.([])
    process.setgid?.(Number(stdout))
    process.setuid?.(/^\d+$/u.test(name) ? Number(name) : name)
  } catch (cause) {
    throw new FakeTcpError(ErrorCode.PERMISSION, `Becoming ${name} needs root: leave \`user\` out, or start as root.`, {
      cause,
    })
  }
}

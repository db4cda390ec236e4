import { spawnSync } from 'node:child_process'
import { ErrorCode, FakeTcpError, invalid } from '../errors.js'

/** This process, every thread of it, becomes an ordinary user for good. Throws INVALID_ARGUMENT or PERMISSION. */
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

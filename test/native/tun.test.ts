import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { spawnFile } from '../support/spawn.js'

/** Why no device can be made in a network namespace of its own, if so. */
const obstacle = (): string | false => {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    return 'needs /dev/net/tun'
  }
  return spawnSync('unshare', ['-n', 'true']).status === 0 ? false : 'needs root (unshare -n)'
}

const skip = obstacle()
if (skip) t.comment(`skipped: ${skip}`)
const file = fileURLToPath(new URL('tun.inside.js', import.meta.url))
spawnFile(t, ['unshare', '-n', process.execPath, ...process.execArgv, file], { skip }, 'in a network namespace')

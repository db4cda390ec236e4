import { accessSync, constants, existsSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TAP } from 'tap'
import { enter, unavailable } from '../../src/lab/enter.js'
import { missingTool } from '../../src/lab/tools.js'
import { phantun } from './programs.js'
import { spawnFile } from './spawn.js'

const noTun = (): string | undefined => {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
    return undefined
  } catch {
    return '/dev/net/tun is missing'
  }
}

/** Why something that a test needs is not to be had here, or undefined. */
export const needs = {
  nft: () => missingTool('nft', 'nftables'),
  ethtool: () => missingTool('ethtool'),
  tshark: () => missingTool('tshark') ?? missingTool('tcpdump'),
  phantun: () =>
    existsSync(phantun.client) && existsSync(phantun.server)
      ? undefined
      : 'phantun is not built (it needs cargo): run node bench/peers/install.mjs',
} as const

/** No file takes longer, on however slow a machine. */
const limitMs = 300_000

/**
 * Runs the file beside `x.test.js` that is called `x.inside.js`, in a private network namespace, as a subtest; or skips it with
 * the reason. `t` is tap itself, `url` the test's `import.meta.url`.
 */
export const runInside = (t: TAP, url: string, ...required: (keyof typeof needs)[]): void => {
  t.setTimeout(limitMs)
  const file = fileURLToPath(url).replace(/\.test\.js$/u, '.inside.js')
  const reason = unavailable() ?? noTun() ?? required.map(need => needs[need]()).find(found => found !== undefined)
  if (reason !== undefined) t.comment(`skipped: ${reason}`)
  const { command, env } = enter()
  // execArgv: `left-behind` looks after it too.
  const line = [...command, process.execPath, ...process.execArgv, file]
  // tap in the child has a limit of its own, 30 s unless told otherwise.
  const limits = { TAP_TIMEOUT: String(limitMs / 1_000) }
  const options = { env: { ...process.env, ...limits, ...env }, skip: reason ?? false, timeout: limitMs }
  spawnFile(t, line, options, basename(file))
}

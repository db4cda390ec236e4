/** Clocks that jump: the wall clock wildly, and CLOCK_MONOTONIC over the ends of the 32-bit words that times are kept in. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../src/native.js'
import { spawnFile } from '../support/spawn.js'

const file = fileURLToPath(new URL('clock.long.inside.js', import.meta.url))
const obstacle =
  spawnSync('unshare', ['--time', '--monotonic', '1', '--fork', 'true'], { stdio: 'ignore' }).status === 0
    ? undefined
    : 'needs root and time namespaces (unshare --time)'
if (obstacle !== undefined) t.comment(`skipped: ${obstacle}`)

for (const [name, ms] of [
  ['2^31 ms', 2 ** 31],
  ['2^32 ms', 2 ** 32],
] as const) {
  t.test(`over ${name}`, { skip: obstacle ?? false }, async t => {
    // The child's clock starts so much ahead of ours that it gets there while the test runs, however long the start takes.
    const ahead = Math.floor((ms - native.clock()) / 1000) - 15
    const command = ['--time', '--monotonic', String(ahead), '--fork', process.execPath, ...process.execArgv, file]
    await spawnFile(t, ['unshare', ...command, String(ms)])
  })
}

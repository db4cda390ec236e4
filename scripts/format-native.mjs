// Formats the addon's sources with clang-format (.clang-format); `--check` only tells whether that would change them.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const check = process.argv.includes('--check')
const cwd = fileURLToPath(new URL('../native', import.meta.url))
const files = readdirSync(cwd).filter(name => /\.(cc|h)$/.test(name))
const args = check ? ['--dry-run', '--Werror'] : ['-i']
const { error, status } = spawnSync('clang-format', [...args, ...files], { cwd, stdio: 'inherit' })
if (error) {
  console.error('native/ was not formatted: clang-format is not there (Debian: apt-get install clang-format).')
  process.exit(check && process.env.CI === 'true' ? 1 : 0)
}
process.exit(status ?? 1)

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { TAP } from 'tap'
import { absence, type Program } from '../../bench/programs.js'
import { enter, unavailable } from '../../src/lab/enter.js'

const limitMs = 480_000

/** A part of `npm run torture` or `npm run field`, on our programs: one assertion for each scenario. `form`: see bench/checks/runner. */
export const runScenarios = (
  t: TAP,
  name: 'torture' | 'field',
  form: '--short' | '--rest',
  ...needs: readonly Program[]
): void => {
  t.setTimeout(limitMs)
  const reason = unavailable() ?? absence(...needs)
  if (reason !== undefined) t.comment(`skipped: ${reason}`)

  t.test(`npm run ${name} -- ${form}`, { skip: reason ?? false, timeout: limitMs }, async t => {
    const { command, env } = enter()
    const main = fileURLToPath(new URL(`../../bench/${name}/main.js`, import.meta.url))
    const [program, ...args] = [...command, process.execPath, main, form]
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => child.kill('SIGTERM'))
    let said = ''
    let complaints = ''
    let told = 0
    child.stdout.setEncoding('utf8').on('data', text => {
      said += text
      // As they come: should it take too long, it is seen how far it got.
      for (const line of said.split('\n').slice(told, -1)) {
        told++
        if (line.startsWith('ok ')) t.pass(line)
        if (line.startsWith('FAILED ')) t.fail(line)
      }
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      complaints += text
    })
    const [code] = (await once(child, 'close')) as [number | null]
    const lines = said.split('\n')
    for (const line of complaints.split('\n')) {
      if (line.includes('is skipped')) t.test(line, { skip: line }, () => {})
    }
    t.match(lines.at(-2), /^\d+ of \d+ scenarios passed$/u, complaints)
    t.equal(code, 0)
  })
}

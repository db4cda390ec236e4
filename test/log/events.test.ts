/** The names of events: what the compiler lets through, and what the documents say of them. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { type EventFields, type EventLog, events } from '../../src/log/events.js'
import type { ServiceContext } from '../../src/workers/service.js'

const root = new URL('../../../', import.meta.url)

t.test('a name that is not in the table does not compile', async t => {
  const logged: EventFields[] = []
  const take = (fields: EventFields): void => {
    logged.push(fields)
  }
  const log: EventLog = { debug: take, info: take, warn: take, error: take }
  log.warn({ event: 'flood-begun', interface: 'tun0' }, 'a flood')
  // @ts-expect-error: no such event
  log.warn({ event: 'flood-begins' }, 'a flood')
  // @ts-expect-error: no event at all
  log.warn({ interface: 'tun0' }, 'a flood')
  const service: Pick<ServiceContext, 'log'> = { log: (_, event, __, fields) => take({ event, ...fields }) }
  service.log('info', 'source-new', 'a source')
  service.log('info', 'echo:started', 'a service of somebody else')
  // @ts-expect-error: neither ours nor a prefix
  service.log('info', 'started', 'a service of somebody else')
  t.equal(logged.length, 6)
})

t.test('names are words with hyphens', async t => {
  for (const name of Object.keys(events)) t.match(name, /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/u)
})

t.test('docs/operations.md has the same table', async t => {
  const text = readFileSync(new URL('docs/operations.md', root), 'utf8')
  const section = /\n## Events\n(.*?)\n## /su.exec(text)?.[1] ?? ''
  const rows = [...section.matchAll(/^\| `([^`]+)` \| (.*) \|$/gmu)].map(([, name, sentence]) => [name, sentence])
  t.strictSame(rows, Object.entries(events))
})

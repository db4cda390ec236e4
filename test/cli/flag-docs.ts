/** The table of flags in docs/operations.md, made from the table that the program uses: `node dist/test/cli/flag-docs.js` writes it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Flag, flags } from '../../src/cli/flags.js'

export const docs = fileURLToPath(new URL('../../../docs/operations.md', import.meta.url))

const [begin, end] = ['<!-- flags: made by test/cli/flag-docs.ts -->\n', '<!-- end of flags -->']

const shown = (value: string | number): string =>
  typeof value === 'number' && value >= 10_000 ? value.toLocaleString('en-US') : String(value)

const defaultOf = ({ default: usual, defaultText, only }: Flag): string => {
  if (defaultText !== undefined) return defaultText.replaceAll(/\d{5,}/gu, digits => shown(Number(digits)))
  if (usual === undefined) return ''
  const [client, server] = [shown(usual('client')), shown(usual('server'))]
  return only !== undefined || client === server ? client : `${client}; server: ${server}`
}

const row = (flag: Flag): string => {
  const what = `${flag.only === undefined ? '' : `${flag.only}: `}${flag.docs ?? flag.help}`
  const cells = [
    `\`${flag.flag.replaceAll(/[<>]/gu, '')}\``,
    flag.setting === 'logLevel' ? '' : `\`${flag.setting}\``,
    defaultOf(flag),
    what,
  ]
  return `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |')
}

/** The document with the table as it must be. */
export const withFlags = (text: string): string => {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${docs} has no place for the flags`)
  const table = ['| flag | option of `fake-tcp/tunnel` | default | |', '|---|---|---|---|', ...flags.map(row)]
  return `${text.slice(0, from)}${begin}\n${table.join('\n')}\n\n${text.slice(to)}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(docs, withFlags(readFileSync(docs, 'utf8')))
}

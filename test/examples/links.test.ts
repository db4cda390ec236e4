/** Documents lead somewhere: every link between them, and every file of the source that they name. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { root } from './run.js'

const documents = execFileSync('git', ['ls-files', '*.md', 'docs/*.md', 'docs/decisions/*.md'], { cwd: root })
  .toString()
  .trim()
  .split('\n')
/** Named as in 'engine/stack.ts', below one of these folders. */
const folders = ['', 'src', 'bench', 'scripts', 'test']

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')

const anchorsOf = (text: string): string[] => [...text.matchAll(/^#+ (.*)$/gmu)].map(([, heading]) => anchorOf(heading))

t.ok(documents.length > 20, `${documents.length} documents`)
for (const document of documents) {
  const text = readFileSync(join(root, document), 'utf8')
  const faults: string[] = []
  for (const [, target, anchor] of text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/gu)) {
    const path = target === '' ? document : join(dirname(document), target)
    if (!existsSync(join(root, path))) faults.push(`no ${target}`)
    else if (anchor !== undefined && !anchorsOf(readFileSync(join(root, path), 'utf8')).includes(anchor)) {
      faults.push(`no #${anchor} in ${path}`)
    }
  }
  // A decision names files as they were called at its time.
  const named = document.startsWith('docs/decisions/')
    ? []
    : [...text.matchAll(/`((?:[\w-]+\/)+[\w.-]+\.(?:ts|mjs|cc|h|c))`/gu)].map(([, path]) => path)
  for (const path of named) {
    if (!folders.some(folder => existsSync(join(root, folder, path)))) faults.push(`no ${path}`)
  }
  t.same(faults, [], document)
}

/**
 * Every text that the sources hold for people: strings and templates of three words and more, by file, in the order of the file. What a
 * template fills in stands in braces. `node dist/test/messages/texts.js` writes them to test/messages/texts.txt.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import ts from 'typescript'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
export const golden = join(root, 'test/messages/texts.txt')

/** Three words and more with spaces between them, besides what is filled in: no path, no name of a module or a constant. */
const isText = (text: string): boolean => {
  const own = text.replaceAll(/\{[^{}]*\}/gu, ' x ').trim()
  return /\s/u.test(own) && (own.match(/[a-z]{2,}/giu)?.length ?? 0) >= 3
}

const textOf = (node: ts.Node, source: ts.SourceFile): string | undefined => {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text
  if (!ts.isTemplateExpression(node)) return undefined
  const spans = node.templateSpans.map(
    ({ expression, literal }) => `{${expression.getText(source).replaceAll(/\s+/gu, ' ')}}${literal.text}`,
  )
  return node.head.text + spans.join('')
}

/** Every string and template of a file. */
export const stringsOf = (path: string): string[] => {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const text = textOf(node, source)
    if (text !== undefined) found.push(text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Texts of one file. */
const textsOf = (path: string): string[] =>
  stringsOf(path)
    .filter(isText)
    .map(text => text.replaceAll('\n', '\\n'))

/** All of them, as they stand in the golden file. */
export const allTexts = (): string => {
  const files = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    // What the lab says is for those who work on it.
    .filter(entry => entry.name.endsWith('.ts') && !entry.parentPath.endsWith('/lab'))
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
  return files
    .map(path => [path.slice(root.length), textsOf(path)] as const)
    .filter(([, texts]) => texts.length > 0)
    .map(([path, texts]) => [path, ...texts.map(text => `  ${text}`), ''].join('\n'))
    .join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(golden, allTexts())

/** Rewords a sentence of the library for its reader. */
export type Reword = (sentence: string) => string

/**
 * Makes a `Reword` that replaces option names by flags. The library's messages have option names in backticks
 * (`tun.mtu`). First each key of `phrases` is replaced by its value, the longest key first. Then each name in backticks
 * is replaced by its flag in `names`; `keepalive.interval` counts as `keepalive` if it has no flag itself. Other names
 * stay as they are.
 */
export const flagReword = (names: ReadonlyMap<string, string>, phrases: Readonly<Record<string, string>>): Reword => {
  const longestFirst = Object.entries(phrases).sort(([a], [b]) => b.length - a.length)
  const named = (marked: string, name: string): string => names.get(name) ?? names.get(name.split('.')[0]) ?? marked
  return sentence =>
    longestFirst
      .reduce((said, [phrase, words]) => said.replaceAll(phrase, words), sentence)
      .replaceAll(/`([a-z][\w.]*)`/giu, named)
}

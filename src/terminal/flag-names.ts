/** Says the library's sentences in other words. */
export type Reword = (sentence: string) => string

/**
 * The library marks the names of options by backticks (`tun.mtu`). For whoever typed a command they become flags: by
 * `phrases`, which are replaced as a whole, or by `names`, where what belongs to an option (`keepalive.interval`)
 * counts as that option. Others stay.
 */
export const flagReword = (names: ReadonlyMap<string, string>, phrases: Readonly<Record<string, string>>): Reword => {
  const longestFirst = Object.entries(phrases).sort(([a], [b]) => b.length - a.length)
  const named = (marked: string, name: string): string => names.get(name) ?? names.get(name.split('.')[0]) ?? marked
  return sentence =>
    longestFirst
      .reduce((said, [phrase, words]) => said.replaceAll(phrase, words), sentence)
      .replaceAll(/`([a-z][\w.]*)`/giu, named)
}

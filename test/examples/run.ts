import { fileURLToPath } from 'node:url'

/** The package's root: this file runs as dist/test/examples/run.js. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

/** The command line of an example, compiled. */
export const example = (name: string, ...args: readonly string[]): string[] => [
  process.execPath,
  `${root}dist/examples/${name}.js`,
  ...args,
]

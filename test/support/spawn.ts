import type { TAP, Test } from 'tap'

/**
 * Runs a test file in a process of its own, as a subtest, by a command line. tap watches what it spawns by module hooks, and so does
 * everything that this spawns: `env` takes that off, for hooks make each start of Node.js and each worker thread several times slower.
 */
export const spawnFile = (
  t: TAP | Test,
  command: readonly string[],
  options: Parameters<Test['spawn']>[2] = {},
  name?: string,
): Promise<unknown> => t.spawn('env', ['-u', 'NODE_OPTIONS', ...command], options, name)

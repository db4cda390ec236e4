import { spawnSync } from 'node:child_process'

/**
 * One sentence that says why a program cannot be used here; undefined when it can. `name`: the program. `debian`: the
 * Debian package that contains it.
 */
export const missingTool = (name: string, debian = name): string | undefined =>
  spawnSync(name, ['--version'], { stdio: 'ignore', timeout: 10_000 }).status === 0
    ? undefined
    : `${name} is missing (Debian: apt-get install ${debian})`

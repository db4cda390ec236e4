import { spawnSync } from 'node:child_process'

/**
 * Why a program can't be used here, in one sentence, or undefined. `name`: the program, and the Debian package it is in
 * unless told otherwise.
 */
export const missingTool = (name: string, debian = name): string | undefined =>
  spawnSync(name, ['--version'], { stdio: 'ignore', timeout: 10_000 }).status === 0
    ? undefined
    : `${name} is missing (Debian: apt-get install ${debian})`

/** Loads the native addon. Where that fails, the error says how to build it. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { ErrorCode, FakeTcpError } from './errors.js'

const require = createRequire(import.meta.url)

/** The C library of this process. Undefined when it is neither glibc nor musl, or when /proc cannot be read. */
const cLibrary = (): string | undefined => {
  let maps: string
  try {
    maps = readFileSync('/proc/self/maps', 'latin1')
  } catch {
    return undefined
  }
  if (/\/ld-musl-/u.test(maps)) return 'musl'
  return /\/libc\.so\.6$|\/libc-2\.\d+\.so$/mu.test(maps) ? 'glibc' : undefined
}

const machine = (): string => {
  const parts = [`${process.platform}-${process.arch}`, `Node.js ${process.versions.node}`, cLibrary()]
  return parts.filter(part => part !== undefined).join(', ')
}

/**
 * The command that builds the addon of the package in `root`. npm 12 and pnpm do not run the install scripts of
 * dependencies, so the addon may never have been built.
 */
const buildCommand = (root: string): string => {
  const folder = root.replace(/\/$/u, '')
  if (!folder.includes('/node_modules/')) return `\`npm run build:native\` in ${folder}`
  return `\`npm --prefix ${/^[\w./@+-]+$/u.test(folder) ? folder : JSON.stringify(folder)} run build:native\``
}

/** The error for the addon of the package in `root` that could not be loaded because of `cause`. */
export const addonError = (root: string, cause: unknown): FakeTcpError => {
  const { code, message } = cause as NodeJS.ErrnoException
  const what =
    code === 'ERR_DLOPEN_FAILED'
      ? `cannot be loaded on this machine (${machine()}; ${message.split('\n', 1)[0]})`
      : `was not built for this machine (${machine()})`
  return new FakeTcpError(
    ErrorCode.ADDON,
    `The addon of fake-tcp ${what}: run ${buildCommand(root)}; it needs a C++ compiler, make and Python 3.`,
    { cause },
  )
}

/**
 * Takes the place of an addon that could not be loaded. Any use of it throws `fault`, so `--help` and `doctor` work
 * without the addon.
 */
const standIn = <Addon extends object>(fault: FakeTcpError): Addon =>
  new Proxy({} as Addon, {
    get: () => {
      throw fault
    },
  })

/**
 * Loads the addon of the package in `root`. Does not throw: `fault` says why the addon could not be loaded, and every
 * use of `addon` throws it then.
 */
export const loadAddon = <Addon extends object>(root: string): { addon: Addon; fault: FakeTcpError | undefined } => {
  try {
    return { addon: require('node-gyp-build')(root) as Addon, fault: undefined }
  } catch (cause) {
    const fault = addonError(root, cause)
    return { addon: standIn<Addon>(fault), fault }
  }
}

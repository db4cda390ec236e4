import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Folders for the Unix sockets on which clients and servers answer `fake-tcp status`. A process makes its socket in the
 * first of these folders that exists or can be made, and belongs to its user:
 *
 * 1. $RUNTIME_DIRECTORY, which systemd makes for a service that asks for one (`RuntimeDirectory=`)
 * 2. /run/fake-tcp, if the process is root
 * 3. $XDG_RUNTIME_DIR/fake-tcp, if the user has logged in
 * 4. /run/fake-tcp/UID, which a root process makes before it becomes that user (`--user`)
 * 5. fake-tcp-UID in the temporary directory
 */
const runFolder = '/run/fake-tcp'

/**
 * Maximum length of a folder's path, in bytes. A Unix socket's path has at most 107 bytes (unix(7)); Node.js would cut
 * a longer one and make a socket of another name.
 */
const maxFolder = 107 - '/client-4194304.sock'.length
const fits = (folder: string): boolean => Buffer.byteLength(folder) <= maxFolder

const uid = (): number => process.geteuid?.() ?? -1

/** $RUNTIME_DIRECTORY: systemd may name several folders, separated by colons. */
const serviceFolder = (): string | undefined => process.env.RUNTIME_DIRECTORY?.split(':', 1)[0] || undefined
const userFolder = (id: number): string => join(runFolder, String(id))
const temporaryFolder = (): string => join(tmpdir(), `fake-tcp-${uid()}`)
const loginFolder = (): string | undefined =>
  process.env.XDG_RUNTIME_DIR ? join(process.env.XDG_RUNTIME_DIR, 'fake-tcp') : undefined

/** Makes `folder` unless it exists, and sets its mode. False when it is a symbolic link or belongs to another user. */
const claim = (folder: string, mode: number): boolean => {
  if (!fits(folder)) return false
  try {
    mkdirSync(folder, { recursive: true, mode })
    const found = lstatSync(folder)
    if (!found.isDirectory() || found.uid !== uid()) return false
    if ((found.mode & 0o777) !== mode) chmodSync(folder, mode)
    return true
  } catch {
    return false
  }
}

/** Whether `folder` exists and belongs to this user. */
const isOwn = (folder: string): boolean => {
  if (!fits(folder)) return false
  try {
    return statSync(folder).uid === uid()
  } catch {
    return false
  }
}

/** Folder for this process's socket, or undefined when there is none. */
export const findPlace = (): string | undefined => {
  const service = serviceFolder()
  if (service !== undefined && isOwn(service)) return service
  // 0755: users must be able to reach their own folders in it.
  if (uid() === 0 && claim(runFolder, 0o755)) return runFolder
  const login = loginFolder()
  if (login !== undefined && claim(login, 0o700)) return login
  const given = userFolder(uid())
  if (isOwn(given)) return given
  const temporary = temporaryFolder()
  return claim(temporary, 0o700) ? temporary : undefined
}

/**
 * Makes the folder /run/fake-tcp/UID for a user that this process, as root, is about to become. Failures are ignored:
 * without this folder `findPlace` goes on to the next one.
 */
export const preparePlace = (user: string): void => {
  const numberOf = (flag: string): number => {
    const { status, stdout } = spawnSync('id', [flag, '--', user], { encoding: 'utf8' })
    return status === 0 ? Number(stdout) : -1
  }
  const id = numberOf('-u')
  const group = numberOf('-g')
  if (uid() !== 0 || id <= 0 || group < 0 || !claim(runFolder, 0o755)) return
  try {
    const folder = userFolder(id)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chownSync(folder, id, group)
  } catch {}
}

/**
 * Every folder that may hold sockets that this user may connect to. The one in the temporary directory only if this
 * user owns it, since anybody could have made it.
 */
export const placesToLook = (): string[] => {
  const temporary = temporaryFolder()
  const places = [
    serviceFolder(),
    runFolder,
    ...entriesOf(runFolder).map(name => join(runFolder, name)),
    loginFolder(),
    // $XDG_RUNTIME_DIR is not set under cron or sudo, but the user's folder may exist.
    `/run/user/${uid()}/fake-tcp`,
    isOwn(temporary) ? temporary : undefined,
  ]
  return [...new Set(places.filter(place => place !== undefined))]
}

/** Names in a folder; none when it cannot be read. */
export const entriesOf = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

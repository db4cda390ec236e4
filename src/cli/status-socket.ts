import { chmodSync, rmSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { Role } from '../tunnel/options.js'
import type { TunnelStatus } from '../tunnel/tunnel.js'
import { entriesOf, findPlace, placesToLook } from './status-places.js'

/** What a running client or server answers. */
export interface Status extends TunnelStatus {
  readonly pid: number
}

/** A client or server that was found: its status, or only its role and pid when it does not answer. */
export type Found = (Status & { readonly answering: true }) | Silent
export interface Silent {
  readonly role: Role
  readonly pid: number
  readonly answering: false
}

/** Timeout of an answer, in milliseconds. */
const answerMs = 1_000
/** Maximum length of an answer. A client or server sends a few kilobytes; a longer answer is from something else. */
const maxAnswer = 1 << 20
/**
 * Milliseconds before a socket that refuses connections may be removed. A living process's socket refuses them too,
 * between its `bind` and its `listen`.
 */
const bindingMs = 1_000

const socketName = /^(client|server)-(\d+)\.sock$/u

/**
 * Answers `fake-tcp status` on a Unix socket that only this user may open. Returns a function that removes the socket.
 * Calls `failed` when no socket can be made.
 */
export const offerStatus = (role: Role, status: () => Status, failed: (reason: string) => void): (() => void) => {
  const place = findPlace()
  if (place === undefined) {
    failed('no folder for it can be made')
    return () => {}
  }
  const path = join(place, `${role}-${process.pid}.sock`)
  const withdraw = () => {
    try {
      rmSync(path, { force: true })
    } catch {}
  }
  const server = createServer(connection => {
    // The asking process may end before it has read everything.
    connection.on('error', () => {})
    connection.setTimeout(2 * answerMs, () => connection.destroy())
    connection.unref()
    connection.end(JSON.stringify(status()))
  })
  server.on('error', ({ code }: NodeJS.ErrnoException) => failed(code ?? 'unknown'))
  // A socket with this path was left by a process with the same pid, which has ended.
  withdraw()
  server.listen(path, () => {
    try {
      chmodSync(path, 0o600)
    } catch (error) {
      failed((error as NodeJS.ErrnoException).code ?? 'unknown')
    }
  })
  server.unref()
  return () => {
    server.close()
    withdraw()
  }
}

/** Asks every client and server that this user may ask. Removes the sockets that killed ones have left behind. */
export const askStatus = async (): Promise<Found[]> => {
  const paths = placesToLook().flatMap(place => entriesOf(place).map(name => ({ place, name })))
  const found = await Promise.all(paths.map(({ place, name }) => ask(place, name)))
  return found.filter(status => status !== undefined).sort((a, b) => a.pid - b.pid)
}

/** Asks the process of one socket. undefined when it has ended, or belongs to another user. */
const ask = async (place: string, name: string): Promise<Found | undefined> => {
  const [, role, pid] = socketName.exec(name) ?? []
  if (role === undefined) return undefined
  const path = join(place, name)
  const answer = await read(path)
  if (answer.code === 'ECONNREFUSED') removeOld(path)
  if (['ECONNREFUSED', 'ENOENT', 'EACCES', 'EPERM', 'ENOTSOCK'].includes(answer.code ?? '')) return undefined
  const known = { role: role as Role, pid: Number(pid) }
  const status = parse(answer.text)
  return status === undefined ? { ...known, answering: false } : { ...status, ...known, answering: true }
}

/** Validates an answer; undefined when it is no status. Root also asks sockets that other users may have made. */
const parse = (text: string): Status | undefined => {
  try {
    const status = JSON.parse(text) as Status
    const { local, remote, uptime, stats } = status
    const texts = [local, remote, stats.device].every(value => typeof value === 'string')
    const { traffic, drops, services } = stats.total
    const counted = [traffic, drops, services.traffic, services.drops].flatMap(each => Object.values<unknown>(each))
    const counts = [uptime, stats.connections, ...counted]
    return texts && counts.every(value => typeof value === 'number') ? status : undefined
  } catch {
    return undefined
  }
}

const removeOld = (path: string): void => {
  try {
    if (Date.now() - statSync(path).mtimeMs > bindingMs) rmSync(path, { force: true })
  } catch {}
}

/** Reads a socket to its end, or until the timeout. `code`: of the error, if there was one. */
const read = (path: string): Promise<{ text: string; code: string | undefined }> =>
  new Promise(resolve => {
    let text = ''
    let code: string | undefined
    const connection = connect(path)
    const timer = setTimeout(() => connection.destroy(), answerMs)
    connection.setEncoding('utf8')
    connection.on('data', part => {
      text += part
      if (text.length > maxAnswer) connection.destroy()
    })
    connection.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    connection.on('close', () => {
      clearTimeout(timer)
      resolve({ text, code })
    })
  })

import { chmodSync, rmSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { Role } from '../tunnel/options.js'
import type { TunnelStatus } from '../tunnel/tunnel.js'
import { entriesOf, findPlace, placesToLook } from './status-places.js'

/** What a running client or server tells about itself. */
export interface Status extends TunnelStatus {
  readonly pid: number
}

/** One that was found: with all it tells, or without when it does not answer. */
export type Found = (Status & { readonly answering: true }) | Silent
export interface Silent {
  readonly role: Role
  readonly pid: number
  readonly answering: false
}

/** One that takes longer does not answer. */
const answerMs = 1_000
/** An answer has a few kilobytes; whoever sends more is none of ours. */
const maxAnswer = 1 << 20
/** Between its `bind` and its `listen` a living socket looks like one whose process is gone. */
const bindingMs = 1_000

const socketName = /^(client|server)-(\d+)\.sock$/u

/**
 * Answers `fake-tcp status` on a Unix socket that only this user may open. The answer removes it again. `failed` is
 * called when there is no place for it.
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
    // Who asked may be gone before it has heard all.
    connection.on('error', () => {})
    connection.setTimeout(2 * answerMs, () => connection.destroy())
    connection.unref()
    connection.end(JSON.stringify(status()))
  })
  server.on('error', ({ code }: NodeJS.ErrnoException) => failed(code ?? 'unknown'))
  // Only a process of the same number can have made it, and that one is gone.
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

/** Every instance that this user may ask. What a killed one left behind is removed. */
export const askStatus = async (): Promise<Found[]> => {
  const paths = placesToLook().flatMap(place => entriesOf(place).map(name => ({ place, name })))
  const found = await Promise.all(paths.map(({ place, name }) => ask(place, name)))
  return found.filter(status => status !== undefined).sort((a, b) => a.pid - b.pid)
}

/** What the instance of this socket says; undefined when there is none, or it is somebody else's. */
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

/** Root also asks sockets that other users may have made: what is no status is no answer. */
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

/** What comes from a socket within the time for an answer, and the code of what went wrong. */
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

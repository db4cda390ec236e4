import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { basename, join } from 'node:path'
import type { StackStats } from '../engine/stack.js'

/** What a running client or server tells about itself. */
export interface Status {
  readonly role: 'client' | 'server'
  readonly pid: number
  readonly local: string
  readonly remote: string
  /** Seconds since it was ready. */
  readonly uptime: number
  readonly stats: StackStats
}

const answerMs = 1_000

const directory = (): string => join(process.env.XDG_RUNTIME_DIR ?? '/run', 'fake-tcp')

/** Answers `fake-tcp status` on a Unix socket that only this user may open. The answer removes it again; without a place for it nothing happens. */
export const offerStatus = (status: () => Status): (() => void) => {
  const path = join(directory(), `${process.pid}.sock`)
  const server = createServer(connection => connection.end(JSON.stringify(status())))
  const remove = () => {
    server.close()
    rmSync(path, { force: true })
  }
  try {
    mkdirSync(directory(), { recursive: true, mode: 0o700 })
    for (const left of sockets()) if (left === path || !isRunning(left)) rmSync(left, { force: true })
  } catch {
    return () => {}
  }
  server.on('error', () => {})
  server.listen(path, () => chmodSync(path, 0o600))
  server.unref()
  return remove
}

/** Every instance that answers; what a killed one left behind is removed. */
export const askStatus = async (): Promise<Status[]> => {
  const found = await Promise.all(sockets().map(path => ask(path)))
  return found.filter(status => status !== undefined).sort((a, b) => a.pid - b.pid)
}

/** Whether the process that a socket is named after still runs; one that was killed could not remove it. */
const isRunning = (path: string): boolean => {
  try {
    process.kill(Number(basename(path, '.sock')), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

const sockets = (): string[] => {
  try {
    return readdirSync(directory())
      .filter(name => name.endsWith('.sock'))
      .map(name => join(directory(), name))
  } catch {
    return []
  }
}

const ask = (path: string): Promise<Status | undefined> =>
  new Promise(resolve => {
    let text = ''
    const connection = connect(path)
    connection.setEncoding('utf8').setTimeout(answerMs, () => connection.destroy())
    connection.on('data', part => {
      text += part
    })
    connection.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') rmSync(path, { force: true })
    })
    connection.on('close', () => {
      try {
        resolve(JSON.parse(text) as Status)
      } catch {
        resolve(undefined)
      }
    })
  })

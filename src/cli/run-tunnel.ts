import type { EventLog } from '../log/events.js'
import { addonFault, native } from '../native.js'
import type { Role } from '../tunnel/options.js'
import type { Tunnel, TunnelStatus } from '../tunnel/tunnel.js'
import { missingFeatures } from '../udp/features.js'
import type { LogLevel } from './levels.js'
import { openLog } from './log.js'
import { reactBy } from './signals.js'
import { preparePlace } from './status-places.js'
import { offerStatus } from './status-socket.js'

/** Timeout of `Tunnel.close`, in milliseconds. The process exits then, and the kernel frees what is left. */
const closeMs = 1_500
/** Timeout of an orderly exit, in milliseconds. `native.exitAfter` ends the process then. */
const exitMs = 400

/** What `runTunnel` runs. */
export interface TunnelRun {
  readonly role: Role
  readonly logLevel: LogLevel
  readonly user: string | undefined
  start(log: EventLog): Promise<Tunnel>
}

const exit = (code: number): never => {
  native.exitAfter(exitMs, code)
  process.exit(code)
}

/**
 * Starts a tunnel, logs that it is ready, and runs it until SIGINT, SIGTERM or the end of its terminal. Then it closes
 * every connection and exits 0 within two seconds. A signal during the start has the same effect. Exits 1 when the
 * stack ends by itself. Rejects with what `start` rejects with.
 */
export const runTunnel = async ({ role, logLevel, user, start }: TunnelRun): Promise<void> => {
  if (addonFault !== undefined) throw addonFault
  const log = await openLog(logLevel)
  logSurprises(log)
  reactBy({
    stop: signal => {
      // Nothing is closed in order: there is no connection yet, and the kernel closes every descriptor.
      log.info({ event: 'stopped-early', signal }, `${role} stopped before it was ready`)
      exit(0)
    },
    leave: () => exit(0),
    reload: () => log.info({ event: 'nothing-to-reload', signal: 'SIGHUP' }, 'there is nothing to reload'),
  })
  if (user !== undefined) preparePlace(user)
  const tunnel = await start(log)
  let stopping = false
  reactBy({
    stop: signal => {
      stopping = true
      log.info(
        { event: 'stopping', signal, connections: tunnel.status().stats.connections },
        'closing every connection',
      )
      setTimeout(() => exit(0), closeMs).unref()
      void tunnel.close().then(() => {
        log.settle()
        log.info({ event: 'stopped', ...summary(tunnel.status()) }, 'stopped')
        exit(0)
      })
    },
  })
  void tunnel.closed.then(() => {
    if (!stopping) exit(1)
  })
  offer(tunnel, role, log)
  const { local, remote, udp, stats } = tunnel.status()
  const missing = missingFeatures(udp)
  const ready = { local, remote, tun: stats.device, queues: stats.workers.length }
  log.info({ event: 'ready', ...ready, ...(missing.length > 0 && { without: missing }) }, `${role} is ready`)
}

/** Logs warnings and uncaught errors. Node.js would write them to standard error itself, and block until it is read. */
const logSurprises = (log: EventLog): void => {
  process.removeAllListeners('warning')
  process.on('warning', warning => log.warn({ event: 'warning', err: warning }, warning.message))
  process.on('uncaughtException', error => {
    log.error({ event: 'unexpected', err: error }, `unexpected: ${error.message}`)
    exit(1)
  })
}

/** Answers `fake-tcp status` as long as the process runs. */
const offer = (tunnel: Tunnel, role: Role, log: EventLog): void => {
  const withdraw = offerStatus(
    role,
    () => ({ ...tunnel.status(), pid: process.pid }),
    reason =>
      log.warn(
        { event: 'status-unavailable', reason },
        `fake-tcp status will not show this ${role}: it has no place for its socket`,
      ),
  )
  process.on('exit', withdraw)
}

/** Fields of the last log line: counters of the whole run. */
const summary = ({ stats }: TunnelStatus) => {
  const { traffic, drops, services } = stats.total
  const lost = Object.entries({ ...drops, ...services.drops }).filter(([, count]) => count > 0)
  return { traffic: { ...traffic, ...services.traffic }, dropped: Object.fromEntries(lost) }
}

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

/** A close that takes longer is given up: the kernel frees what is left when the process ends. */
const closeMs = 1_500
/** So is an exit. */
const exitMs = 400

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
 * Starts a tunnel and says that it is ready. It runs until SIGINT, SIGTERM or the end of its terminal, then closes
 * every connection and exits 0 within two seconds; also when that comes while it starts. Exits 1 when the stack ends by
 * itself. Throws what `start` throws.
 */
export const runTunnel = async ({ role, logLevel, user, start }: TunnelRun): Promise<void> => {
  if (addonFault !== undefined) throw addonFault
  const log = await openLog(logLevel)
  logSurprises(log)
  reactBy({
    stop: signal => {
      // The kernel closes what has been opened.
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

/** Node.js would write these itself, and wait for whoever reads them. */
const logSurprises = (log: EventLog): void => {
  process.removeAllListeners('warning')
  process.on('warning', warning => log.warn({ event: 'warning', err: warning }, warning.message))
  process.on('uncaughtException', error => {
    log.error({ event: 'unexpected', err: error }, `unexpected: ${error.message}`)
    exit(1)
  })
}

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

const summary = ({ stats }: TunnelStatus) => {
  const { traffic, drops, services } = stats.total
  const lost = Object.entries({ ...drops, ...services.drops }).filter(([, count]) => count > 0)
  return { traffic: { ...traffic, ...services.traffic }, dropped: Object.fromEntries(lost) }
}

import type { Logger } from 'pino'
import { describe, type Tunnel } from '../tunnel/tunnel.js'
import { offerStatus, type Role } from './status-socket.js'

/** A close that takes longer is given up: the kernel frees what is left when the process ends. */
const closeMs = 1_500

/**
 * Says that the tunnel is ready and runs until SIGINT or SIGTERM, then closes every connection and exits 0 within two seconds. Exits 1
 * when the stack ends by itself.
 */
export const runTunnel = (role: Role, local: string, tunnel: Tunnel, log: Logger): void => {
  const { stack } = tunnel
  const remote = describe(tunnel.remote)
  const started = performance.now()
  const withdrawStatus = offerStatus(
    role,
    () => ({
      role,
      pid: process.pid,
      local,
      remote,
      uptime: (performance.now() - started) / 1_000,
      stats: stack.stats(),
    }),
    reason => log.warn({ reason }, `fake-tcp status will not show this ${role}: it has no place for its socket`),
  )
  process.on('exit', withdrawStatus)
  log.info({ local, remote, tun: stack.device, queues: stack.stats().workers.length }, `${role} is ready`)
  let stopping = false
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) return
    stopping = true
    log.info({ signal, connections: stack.stats().connections }, 'closing every connection')
    setTimeout(() => process.exit(0), closeMs).unref()
    void stack.close().then(() => {
      log.info(summary(tunnel), 'stopped')
      process.exit(0)
    })
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  void stack.closed.then(() => {
    if (!stopping) process.exit(1)
  })
}

const summary = ({ stack }: Tunnel) => {
  const { traffic, drops } = stack.stats().total
  const dropped = Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0))
  return { traffic, dropped }
}

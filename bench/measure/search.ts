import { setTimeout as sleep } from 'node:timers/promises'
import type { Network } from '../../src/lab/network.js'
import type { Pair } from '../ends.js'
import { programs } from '../programs.js'
import { type Metrics, metricsOf, type Sent } from '../scenario.js'
import { DRAIN, entrance, line, SinkReader, since, sinkCommand, Tunnel, WARMUP } from './tunnel.js'

/** A rate counts as carried when no more than this is lost. */
const LOSS_PERCENT = 0.1
const STEPS = 6
/** A step that fails is tried once more, so that a moment in which the machine does something else does not decide. */
const TRIES = 2
/** The minimum length of a step. Shorter ones would fit into the queues. */
const LEAST_SECONDS = 0.4

const stepSeconds = (seconds: number): number => Math.max(LEAST_SECONDS, seconds / 3)

/** The time that a search takes, about, without starting and stopping. */
export const searchSeconds = (seconds: number): number => (1 + STEPS * 1.5) * (stepSeconds(seconds) + DRAIN / 1000)

/**
 * Searches the highest rate that a tunnel carries almost without loss, one datagram per system call. It bisects between
 * nothing and what the sender offers at full speed, and begins with the rate that arrives then. The figures are those
 * of the best step.
 */
export const search = (network: Network, pair: Pair, seconds: number, size: number): Promise<Metrics> => {
  const whole = searchSeconds(seconds) * TRIES
  return Tunnel.with(network, pair, whole, sinkCommand(whole), async tunnel => {
    const sink = new SinkReader(tunnel.far)
    const options = ['--to', entrance, '--size', String(size), '--warmup', String(WARMUP), '--steps', '1']
    const sender = tunnel.load([...programs.udpPlain, ...options], true)
    await sender.until(() => sender.stderr.includes('started'), 'open connection')
    let lines = 0
    let before = await sink.read()

    const step = async (rate: number): Promise<{ offered: number; metrics: Metrics }> => {
      const cpu = tunnel.cpu()
      sender.process.stdin?.write(`${rate} ${stepSeconds(seconds)}\n`)
      const sent = await line<Sent>(sender, lines++, stepSeconds(seconds) + 10)
      await sleep(DRAIN)
      const after = await sink.read()
      const arrived = {
        datagrams: after.datagrams - before.datagrams,
        bytes: after.bytes - before.bytes,
        // The sink's clock runs from its very first datagram, so the sender's time counts.
        seconds: sent.seconds,
        reordered: (after.reordered ?? 0) - (before.reordered ?? 0),
        corrupted: (after.corrupted ?? 0) - (before.corrupted ?? 0),
      }
      before = after
      const metrics = metricsOf(sent, arrived, since(cpu, tunnel.cpu()), tunnel.memoryMB())
      return { offered: sent.datagrams / sent.seconds, metrics }
    }
    const carried = ({ metrics }: { metrics: Metrics }): boolean =>
      metrics.lossPercent <= LOSS_PERCENT && metrics.datagramsPerSecond > 0

    const flat = await step(0)
    let best = carried(flat) ? flat : undefined
    let low = 0
    let high = flat.offered
    let rate = Math.min(flat.metrics.datagramsPerSecond, high * 0.95)
    for (let i = 0; i < STEPS && best !== flat; i++) {
      let result = await step(rate)
      for (let again = 1; again < TRIES && !carried(result); again++) result = await step(rate)
      if (carried(result)) {
        best = result
        low = rate
      } else high = rate
      rate = low === 0 ? high / 2 : (low + high) / 2
    }
    sender.process.stdin?.end()
    await sender.ended
    if (best === undefined) throw new Error(`no rate down to ${Math.round(high)}/s was carried`)
    return best.metrics
  })
}

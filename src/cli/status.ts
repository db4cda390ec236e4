import type { Command } from 'commander'
import type { DeviceFeatures } from '../net/features.js'
import { print } from '../terminal/output.js'
import { inFlags } from './in-flags.js'
import { askStatus, type Found, type Status } from './status-socket.js'

/** Features that a device may lack, in words. */
const featureNames: Readonly<Record<keyof DeviceFeatures, string>> = {
  queues: 'several queues',
  superPacketsOut: 'super-packets out',
  superPacketsIn: 'super-packets in',
  steering: 'steering to queues',
  ipv6: 'IPv6',
}

/** The features that a device lacks, each like 'super-packets out (the kernel refused a write (EINVAL))'. */
const withoutOf = (features: DeviceFeatures): string[] =>
  (Object.keys(featureNames) as (keyof DeviceFeatures)[])
    .filter(name => !features[name].used)
    .map(name => `${featureNames[name]} (${inFlags(features[name].reason ?? '')})`)

const number = (value: number | undefined): string => (value ?? 0).toLocaleString('en-US')

/** The status of one client or server as a few lines of text. Drop counters appear only when they are not zero. */
export const describeStatus = ({ role, pid, local, remote, uptime, stats }: Status): string => {
  const { traffic, drops, services } = stats.total
  const lost = Object.entries({ ...drops, ...services.drops }).filter(([, count]) => count > 0)
  const without = withoutOf(stats.features)
  const perPacket = (traffic.datagramsIn ?? 0) / Math.max(1, traffic.packetsIn ?? 0)
  return [
    `${role} ${pid} on ${stats.device}: ${local} -> ${remote}, up ${Math.round(uptime)} s, ${number(stats.connections)} connections`,
    `  in   ${number(traffic.datagramsIn)} datagrams, ${number(traffic.bytesIn)} bytes, ${perPacket.toFixed(1)} datagrams per read`,
    `  out  ${number(traffic.datagramsOut)} datagrams, ${number(traffic.bytesOut)} bytes`,
    ...(without.length > 0 ? [`  without ${without.join(', ')}`] : []),
    ...(lost.length > 0 ? [`  lost ${lost.map(([name, count]) => `${name} ${number(count)}`).join(', ')}`] : []),
  ].join('\n')
}

/** Replaces control characters: another user's process may have written the text, and terminals obey them. */
const printable = (text: string): string => text.replaceAll(/[^\P{Cc}\n]/gu, '?')

const describe = (found: Found): string =>
  found.answering ? printable(describeStatus(found)) : `${found.role} ${found.pid} does not answer`

/** Exit code. 0: all found processes answer; 1: some do not; 3: none answers, or none was found. */
export const healthCode = (found: readonly Found[]): number => {
  const answering = found.filter(({ answering }) => answering).length
  if (answering === 0) return 3
  return answering === found.length ? 0 : 1
}

/** The command `fake-tcp status`: prints what clients and servers answer; `healthCode` is its exit code. */
export const addStatus = (program: Command): void => {
  program
    .command('status')
    .description('show the clients and servers that run on this machine')
    .option('--json', 'everything they count, as JSON')
    .addHelpText('after', '\nExit code: 0 all answer, 1 some do not, 3 none does or none is running.')
    .action(async (flags: { json?: boolean }) => {
      const found = await askStatus()
      process.exitCode = healthCode(found)
      if (flags.json) print(`${JSON.stringify(found, null, 2)}\n`)
      else if (found.length === 0) print('No fake-tcp client or server of this user is running.\n')
      else print(`${found.map(describe).join('\n')}\n`)
    })
}

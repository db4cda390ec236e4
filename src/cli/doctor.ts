import { existsSync } from 'node:fs'
import { availableParallelism, release } from 'node:os'
import type { Command } from 'commander'
import { openTriedTun } from '../engine/tun.js'
import { resolveTun } from '../engine/tun-options.js'
import { FakeTcpError } from '../errors.js'
import { addonFault } from '../native.js'
import type { Feature } from '../net/features.js'
import { print } from '../terminal/output.js'
import { probeUdp, type UdpFeatures } from '../udp/features.js'
import { inFlags } from './in-flags.js'

/** One line of the report. `note`: fake-tcp runs without it, but slower or with less. `FAIL`: it does not run. */
interface Finding {
  readonly mark: 'ok' | 'note' | 'FAIL'
  readonly text: string
}

/** A finding without which fake-tcp does not run. */
const must = (ok: boolean, text: string): Finding => ({ mark: ok ? 'ok' : 'FAIL', text })
/** A finding without which fake-tcp runs. */
const may = (ok: boolean, text: string): Finding => ({ mark: ok ? 'ok' : 'note', text })

const feature = (what: string, { used, reason }: Feature): Finding =>
  may(used, used ? `${what}.` : `${what}: no, ${reason}.`)

const udpFeatures = ({ gro, segment }: UdpFeatures): Finding[] => [
  may(gro, gro ? 'UDP datagrams come merged (UDP_GRO).' : 'UDP datagrams come one by one: UDP_GRO is missing.'),
  may(
    segment,
    segment
      ? 'UDP datagrams leave in one go (UDP_SEGMENT).'
      : 'UDP datagrams leave one by one: UDP_SEGMENT is missing.',
  ),
]

/**
 * Checks what fake-tcp needs from this machine. It makes a TUN interface, tries it and removes it; no packet leaves the
 * machine.
 */
export const examine = async (): Promise<Finding[]> => {
  const isThere = existsSync('/dev/net/tun')
  const findings = [
    must(true, `Node.js ${process.versions.node}, Linux ${release()}, ${availableParallelism()} cores.`),
    must(addonFault === undefined, addonFault?.message ?? 'The addon is loaded.'),
    must(
      isThere,
      isThere
        ? '/dev/net/tun is there.'
        : '/dev/net/tun is missing: load the module (modprobe tun), or give the container the device.',
    ),
  ]
  if (addonFault !== undefined) return findings
  try {
    // Documentation addresses (RFC 5737, RFC 3849): no network uses them, so the interface hides nobody's route.
    const four = { hostAddress: '192.0.2.1', stackAddress: '192.0.2.2', ifAddressesTaken: 'others' } as const
    const six = { hostAddress6: '2001:db8::1', stackAddress6: '2001:db8::2', ifAddressesTaken6: 'others' } as const
    const tun = await openTriedTun(resolveTun({ ...four, ...six, ifNoIPv6: 'ipv4', queues: 2 }))
    tun.close()
    const { queues, superPacketsOut, superPacketsIn, steering, ipv6 } = tun.features
    findings.push(
      must(true, `A TUN interface can be made (${tun.name}).`),
      feature('It has several queues', queues),
      feature('The kernel takes super-packets, up to 46 datagrams at a time', superPacketsOut),
      feature('The kernel hands over super-packets', superPacketsIn),
      feature('Packets find the queue of their connection', steering),
      feature('IPv6 works', ipv6),
    )
  } catch (error) {
    if (!(error instanceof FakeTcpError)) throw error
    findings.push(must(false, error.message))
  }
  return [...findings, ...udpFeatures(probeUdp())]
}

/** The command `fake-tcp doctor`: prints the findings, and exits 1 when one of them is a FAIL. */
export const addDoctor = (program: Command): void => {
  program
    .command('doctor')
    .description('look whether this machine has what fake-tcp needs')
    .action(async () => {
      const findings = await examine()
      if (findings.some(({ mark }) => mark === 'FAIL')) process.exitCode = 1
      print(findings.map(({ mark, text }) => `${mark.padEnd(5)} ${inFlags(text)}\n`).join(''))
    })
}

import { existsSync } from 'node:fs'
import { availableParallelism, release } from 'node:os'
import type { Command } from 'commander'
import { openTun } from '../engine/tun.js'
import { FakeTcpError } from '../errors.js'
import { addonFault } from '../native.js'
import { print } from './output.js'

interface Finding {
  readonly ok: boolean
  readonly text: string
}

/** Looks at what fake-tcp needs from this machine; a TUN interface is made and removed, nothing is sent. */
export const examine = (): Finding[] => {
  const findings: Finding[] = [
    { ok: true, text: `Node.js ${process.versions.node}, Linux ${release()}, ${availableParallelism()} cores.` },
    { ok: addonFault === undefined, text: addonFault?.message ?? 'The addon is loaded.' },
    existsSync('/dev/net/tun')
      ? { ok: true, text: '/dev/net/tun is there.' }
      : {
          ok: false,
          text: '/dev/net/tun is missing: load the module (modprobe tun), or give the container the device.',
        },
  ]
  if (addonFault !== undefined) return findings
  try {
    // Documentation addresses (RFC 5737): nothing routes them, and the interface is gone at once.
    const tun = openTun({ hostAddress: '192.0.2.1', stackAddress: '192.0.2.2', queues: 2 })
    const { name, virtioSize } = tun
    tun.close()
    findings.push({ ok: true, text: `A TUN interface with two queues can be made (${name}).` })
    findings.push(
      virtioSize > 0
        ? { ok: true, text: 'Super-packets work: datagrams travel up to 46 at a time.' }
        : { ok: false, text: 'The kernel refuses virtio headers: every datagram costs a system call.' },
    )
  } catch (error) {
    if (!(error instanceof FakeTcpError)) throw error
    findings.push({ ok: false, text: error.message })
  }
  return findings
}

export const addDoctor = (program: Command): void => {
  program
    .command('doctor')
    .description('look whether this machine has what fake-tcp needs')
    .action(() => {
      const findings = examine()
      if (findings.some(({ ok }) => !ok)) process.exitCode = 1
      print(findings.map(({ ok, text }) => `${ok ? 'ok   ' : 'FAIL '} ${text}\n`).join(''))
    })
}

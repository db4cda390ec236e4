import { readdirSync, readFileSync } from 'node:fs'
import { ephemeral } from '../engine/ports.js'
import { type PortPlan, portCapacity } from './port-plan.js'

/** Flow limit of a server without `maxFlows`; the machine may have room for fewer. */
export const defaultMaxFlows = 32_768
/** File descriptors that a stack needs for each queue, and those for everything else: the stack, Node.js. */
const descriptorsPerQueue = 8
const otherDescriptors = 64

/** The maximum number of flows, and the reason when the machine sets it. */
export interface FlowLimit {
  readonly maxFlows: number
  /** Clause of a log line that names the scarce resource; undefined when the limit is the wanted one. */
  readonly because: string | undefined
}

/** The limit of a client: each flow takes a local port of the stack, since all connections go to one remote port. */
export const clientFlowLimit = (wanted: number | undefined): FlowLimit => {
  const ports = ephemeral.last - ephemeral.first + 1
  // No `because` without `maxFlows`: an administrator could not change anything.
  if (wanted === undefined || wanted <= ports) return { maxFlows: wanted ?? ports, because: undefined }
  return { maxFlows: ports, because: `a TCP connection needs a port of its own, and there are ${ports}` }
}

export interface ServerLimits {
  readonly queues: number
  readonly ports: PortPlan
  /** Whether the service is at an address of 127.0.0.0/8. */
  readonly isLoopback: boolean
  /** Descriptors that may still be opened; for tests. */
  readonly freeDescriptors?: number
}

/** The limit of a server: each flow takes a descriptor and a UDP source port. */
export const serverFlowLimit = (wanted: number | undefined, machine: ServerLimits): FlowLimit => {
  const { queues, ports, isLoopback, freeDescriptors = descriptorsLeft() } = machine
  const limits = [
    { max: wanted ?? defaultMaxFlows, because: undefined },
    {
      max: freeDescriptors - descriptorsPerQueue * queues - otherDescriptors,
      because: 'each needs a file descriptor: raise the limit (ulimit -Hn, LimitNOFILE=)',
    },
    {
      max: portCapacity(ports, isLoopback),
      because: 'each needs a UDP source port outside of net.ipv4.ip_local_port_range',
    },
  ]
  const { max, because } = limits.reduce((lowest, each) => (each.max < lowest.max ? each : lowest))
  return { maxFlows: Math.max(1, max), because }
}

/** File descriptors that this process may still open. The soft limit counts: Node.js raises it to the hard one. */
const descriptorsLeft = (): number => {
  const limits = readFileSync('/proc/self/limits', 'latin1')
  const limit = /^Max open files\s+(\d+)/mu.exec(limits)?.[1]
  return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit) - readdirSync('/proc/self/fd').length
}

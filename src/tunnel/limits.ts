import { readdirSync, readFileSync } from 'node:fs'
import { ephemeral } from '../engine/ports.js'
import { type PortPlan, portCapacity } from './port-plan.js'

/** Most flows unless `maxFlows` says otherwise; the machine may have room for fewer. */
export const defaultMaxFlows = 32_768
/** Descriptors that a stack needs for each queue and besides, and some for whatever else Node.js opens. */
const descriptorsPerQueue = 8
const otherDescriptors = 64

/** What bounds the number of flows. */
export interface FlowLimit {
  readonly maxFlows: number
  /** What the machine has too little of, in words; undefined when there is enough. */
  readonly because: string | undefined
}

/** The limit of a client: each flow takes a port of the stack. */
export const clientFlowLimit = (wanted: number | undefined): FlowLimit => {
  const ports = ephemeral.last - ephemeral.first + 1
  // One remote address and port: nothing that an administrator could change.
  if (wanted === undefined || wanted <= ports) return { maxFlows: wanted ?? ports, because: undefined }
  return { maxFlows: ports, because: `a TCP connection needs a port of its own, and there are ${ports}` }
}

export interface ServerLimits {
  readonly queues: number
  readonly ports: PortPlan
  /** Whether the service is at an address of 127.0.0.0/8. */
  readonly isLoopback: boolean
  /** For tests: descriptors that may still be opened. */
  readonly freeDescriptors?: number
}

/** The limit of a server: each flow takes a descriptor and a UDP source port. */
export const serverFlowLimit = (wanted: number | undefined, machine: ServerLimits): FlowLimit => {
  const { queues, ports, isLoopback, freeDescriptors = descriptorsLeft() } = machine
  const limits = [
    { most: wanted ?? defaultMaxFlows, because: undefined },
    {
      most: freeDescriptors - descriptorsPerQueue * queues - otherDescriptors,
      because: 'each needs a file descriptor: raise the limit (ulimit -Hn, LimitNOFILE=)',
    },
    {
      most: portCapacity(ports, isLoopback),
      because: 'each needs a UDP source port outside of net.ipv4.ip_local_port_range',
    },
  ]
  const { most, because } = limits.reduce((least, each) => (each.most < least.most ? each : least))
  return { maxFlows: Math.max(1, most), because }
}

/** Node.js has raised its limit to the hard one by now. */
const descriptorsLeft = (): number => {
  const limits = readFileSync('/proc/self/limits', 'latin1')
  const limit = /^Max open files\s+(\d+)/mu.exec(limits)?.[1]
  return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit) - readdirSync('/proc/self/fd').length
}

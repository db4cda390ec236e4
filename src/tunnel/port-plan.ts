import { readFileSync } from 'node:fs'

/**
 * Source ports for the server's UDP sockets. They avoid `net.ipv4.ip_local_port_range`, from which the kernel gives
 * ports to the machine's other programs: with that range used up no program could send UDP, and names would not
 * resolve.
 */
export interface PortPlan {
  /** For a service on 127.0.0.0/8: ports of each of the `loopbackAddresses`. Earlier sets are used first. */
  readonly loopback: readonly Ports[]
  /** For any other service: ports of the wildcard address. Earlier sets are used first. */
  readonly elsewhere: readonly Ports[]
}

/** Port numbers; plain data. */
export type Ports = Uint16Array

/** Number of loopback addresses that sockets may be bound to, from 127.0.0.1 on. */
export const loopbackAddresses = 250

/** Lower ports are privileged, or well known to belong to other services. */
const firstPort = 10_000
const lastPort = 65_535
/** With fewer ports the plan includes half of `ip_local_port_range` too. */
const minPorts = 4_096

const sysctl = (name: string): string => readFileSync(`/proc/sys/net/ipv4/${name}`, 'latin1')

/** Makes the plan from the machine's sysctls, or from Linux's defaults when they cannot be read. `read`: for tests. */
export const planPorts = (read: (name: string) => string = sysctl): PortPlan => {
  const text = (name: string, otherwise: string): string => {
    try {
      return read(name)
    } catch {
      return otherwise
    }
  }
  const [low = 32_768, high = 60_999] = text('ip_local_port_range', '').match(/\d+/gu)?.map(Number) ?? []
  const reserved = reservedPorts(text('ip_local_reserved_ports', ''))
  const free = (first: number, last: number): Ports => {
    const ports: number[] = []
    for (let port = Math.max(first, firstPort); port <= last; port++) if (!reserved.has(port)) ports.push(port)
    return Uint16Array.from(ports)
  }
  const above = free(high + 1, lastPort)
  const below = free(firstPort, low - 1)
  // The upper half of the range: the ports that other programs keep stay contiguous.
  const half = free(Math.max(low, Math.ceil((Math.max(low, firstPort) + high) / 2)), high)
  const outside = [above, below].filter(({ length }) => length > 0)
  const enough = (ports: readonly Ports[], addresses: number) => count(ports) * addresses >= minPorts
  return {
    loopback: enough([above], loopbackAddresses) ? [above] : enough(outside, 1) ? outside : [...outside, half],
    elsewhere: enough(outside, 1) ? outside : [...outside, half],
  }
}

/** Number of sockets that the plan has ports for. `isLoopback`: the service is on 127.0.0.0/8. */
export const portCapacity = ({ loopback, elsewhere }: PortPlan, isLoopback: boolean): number =>
  isLoopback ? count(loopback) * loopbackAddresses : count(elsewhere)

const count = (ports: readonly Ports[]): number => ports.reduce((sum, { length }) => sum + length, 0)

/** Parses `ip_local_reserved_ports`: '8080,9148-9200'. */
const reservedPorts = (text: string): ReadonlySet<number> => {
  const found = new Set<number>()
  for (const [, first, last = first] of text.matchAll(/(\d+)(?:-(\d+))?/gu)) {
    for (let port = Number(first); port <= Number(last); port++) found.add(port)
  }
  return found
}

import { readFileSync } from 'node:fs'

/**
 * Ports that the server's UDP sockets may take: not those that the machine's other programs get without asking
 * (`net.ipv4.ip_local_port_range`). If all of those were taken no program could send UDP any more, the resolver first.
 */
export interface PortPlan {
  /** On each of the loopback addresses, for a service on one of them. */
  readonly loopback: readonly Ports[]
  /** For any other service: taken in this order. */
  readonly elsewhere: readonly Ports[]
}

/** Port numbers; plain data. */
export type Ports = Uint16Array

/** Loopback addresses that are used: 127.0.0.1 and so on. */
export const loopbackAddresses = 250

/** Ports below are known for something, or privileged. */
const firstPort = 10_000
const lastPort = 65_535
/** With fewer ports than that, half of the machine's own range is used too. */
const tooFew = 4_096

const sysctl = (name: string): string => readFileSync(`/proc/sys/net/ipv4/${name}`, 'latin1')

/** `read`: for tests. Where the settings cannot be read, Linux's defaults are taken. */
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
  // The upper half: what is left is in one piece.
  const half = free(Math.max(low, Math.ceil((Math.max(low, firstPort) + high) / 2)), high)
  const outside = [above, below].filter(({ length }) => length > 0)
  const enough = (ports: readonly Ports[], addresses: number) => count(ports) * addresses >= tooFew
  return {
    loopback: enough([above], loopbackAddresses) ? [above] : enough(outside, 1) ? outside : [...outside, half],
    elsewhere: enough(outside, 1) ? outside : [...outside, half],
  }
}

/** How many sockets the plan has ports for. */
export const portCapacity = ({ loopback, elsewhere }: PortPlan, isLoopback: boolean): number =>
  isLoopback ? count(loopback) * loopbackAddresses : count(elsewhere)

const count = (ports: readonly Ports[]): number => ports.reduce((sum, { length }) => sum + length, 0)

/** As the kernel writes them: '8080,9148-9200'. */
const reservedPorts = (text: string): ReadonlySet<number> => {
  const found = new Set<number>()
  for (const [, first, last = first] of text.matchAll(/(\d+)(?:-(\d+))?/gu)) {
    for (let port = Number(first); port <= Number(last); port++) found.add(port)
  }
  return found
}

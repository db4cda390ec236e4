import type { Side } from './network.js'

/** Runs a program to its end. Resolves to its stdout; rejects when it fails. */
const run = async (side: Side, argv: readonly string[]): Promise<string> => {
  const child = side.run(argv, { name: argv.join(' '), seconds: 10 })
  const code = await child.ended
  if (code !== 0) throw new Error(`${child.name} ended with ${code}\n${child.stderr}`)
  return child.stdout
}

/** Number of packets that conntrack has found INVALID on a side, in a network with `NetworkOptions.nat`. */
export const invalidPackets = async (side: Side): Promise<number> => {
  const rules = await run(side, ['nft', 'list', 'table', 'inet', 'lab'])
  const packets = /ct state invalid counter packets (\d+)/u.exec(rules)?.[1]
  if (packets === undefined) throw new Error(`no counter in\n${rules}`)
  return Number(packets)
}

/** conntrack's states of a side's TCP connections to a port, for example `['ESTABLISHED', 'CLOSE']`. */
export const connectionStates = async (side: Side, port: number): Promise<string[]> => {
  const table = await run(side, ['cat', '/proc/net/nf_conntrack'])
  return table
    .split('\n')
    .filter(line => line.includes(`dport=${port} `))
    .map(line => /\btcp\s+6 \d+ (\w+)/u.exec(line)?.[1] ?? line)
}

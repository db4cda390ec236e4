import type { Verdict } from './scenario.js'

export interface Result {
  readonly name: string
  readonly what: string
  readonly bar: string
  readonly ours: Verdict
  readonly phantun?: Verdict
}

const mark = ({ figure, passed }: Verdict): string => `${passed ? '✔' : '✘'} ${figure}`

/** docs/reliability.md. */
export const reliability = (
  results: readonly Result[],
): string => `<!-- Written by \`npm run torture -- --write-docs\`; do not edit. -->

# Reliability

What is done to fake-tcp, what must hold, and what was measured; beside it phantun 0.8.1 under the same test, where it can take it. All of it
happens on one machine with two cores, which the attackers share with the attacked. \`npm run torture\` does it again; its short form is part
of \`npm test\`.

| what happens | what must hold | fake-tcp | phantun 0.8.1 |
|---|---|---|---|
${results
  .map(
    ({ name, what, bar, ours, phantun }) =>
      `| **${name}**: ${what} | ${bar} | ${mark(ours)} | ${phantun ? mark(phantun) : '–'} |`,
  )
  .join('\n')}

What is checked elsewhere, in \`npm test\`: every class of malformed input by name and cut at every byte (test/wire, test/workers/segment), the
fuzzer's corpus (test/fuzz; for hours: \`npm run fuzz\`), the doorbell's every interleaving (test/memory/doorbell-model), sequence numbers that wrap in
a super-packet (test/engine/wrap, test/interop/wrap), stock peers that vanish (test/interop/keepalive) and restart (test/interop/restart), path MTU
(test/system/path-mtu), names that move, IPv6 and IPv4 raced (test/system/names), clocks that jump (test/engine/clock), least privilege
(test/system/privileges). Every test file is asked at its end which descriptors, threads, processes and temporary files it has left
(test/support/left-behind).
`

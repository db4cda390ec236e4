/**
 * `npm run torture` does to our programs and to phantun everything that arrives, fails or stops. bench/checks/runner.ts
 * describes the options. bench/run.mjs starts this program inside a private network namespace.
 */
import { resultTable } from '../checks/report.js'
import { runCourse } from '../checks/runner.js'
import { conntrack } from './conntrack.js'
import { ends } from './ends.js'
import { floods } from './floods.js'
import { hostile } from './hostile.js'
import { library } from './library.js'

await runCourse({
  name: 'torture',
  scenarios: [...hostile, ...floods, ...ends, ...conntrack, ...library],
  document: 'docs/reliability.md',
  text: results => `<!-- Written by \`npm run torture -- --write-docs\`; do not edit. -->

# Reliability

What is done to fake-tcp, what must hold, and what was measured; beside it phantun 0.8.1 under the same test, where it can take it. All of it
happens on one machine with two cores, which the attackers share with the attacked. \`npm run torture\` does it again; its short form is part
of \`npm run test:long\`.

${resultTable(results)}

What is checked elsewhere, in \`npm test\` and \`npm run test:long\`: every class of malformed input by name and cut at every byte (test/wire, test/path/segment), the
fuzzer's corpus (test/fuzz; for hours: \`npm run fuzz\`), the doorbell's every interleaving (test/memory/doorbell-model), sequence numbers that wrap in
a super-packet (test/engine/wrap, test/interop/wrap), stock peers that vanish (test/interop/keepalive) and restart (test/interop/restart), path MTU
(test/system/path-mtu), names that move, IPv6 and IPv4 raced (test/system/names), clocks that jump (test/engine/clock), least privilege
(test/system/privileges). Every test file is asked at its end which descriptors, threads, processes and temporary files it has left
(test/support/left-behind).
`,
})

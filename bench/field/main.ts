/**
 * `npm run field` does to our programs and to phantun what ordinary machines do to a tunnel. bench/checks/runner.ts
 * describes the options. bench/run.mjs starts this program inside a private network namespace.
 */
import { resultTable } from '../checks/report.js'
import { runCourse } from '../checks/runner.js'
import { kinds } from './scenarios/addresses.js'
import { missingRules } from './scenarios/causes.js'
import { devices } from './scenarios/devices.js'
import { early } from './scenarios/early.js'
import { flows } from './scenarios/flows.js'
import { interfaces } from './scenarios/interfaces.js'
import { legs } from './scenarios/legs.js'
import { limits } from './scenarios/limits.js'
import { logs } from './scenarios/logs.js'
import { packages } from './scenarios/packages.js'
import { processes } from './scenarios/processes.js'
import { signals } from './scenarios/signals.js'
import { udp } from './scenarios/udp.js'
import { words } from './scenarios/words.js'

await runCourse({
  name: 'field',
  scenarios: [
    ...[...devices, ...interfaces],
    ...[...legs, ...early, ...kinds, ...udp, ...flows, ...limits],
    ...[...logs, ...signals, ...processes],
    ...[...missingRules, ...packages, ...words],
  ],
  document: 'docs/field.md',
  text: results => `<!-- Written by \`npm run field -- --write-docs\`; do not edit. -->

# On the machines that people have

Each row is a fault that users of tunnels meet: an address that goes, a kernel that refuses, a disk that is full. It says what is done, what
must hold, and what was seen; beside it phantun 0.8.1 under the same test, where it can take it. \`npm run field\` does it again, in private
network namespaces; its short form is part of \`npm test\`, the rest of \`npm run test:long\`. Kernels that lack something are played by bench/field/shim.c, a library that is
preloaded into the program and answers in the kernel's place.

${resultTable(results)}
`,
})

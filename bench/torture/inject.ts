/**
 * `node inject.js --tun NAME --rounds N` sends every malformed packet that the tests know by name to the program behind
 * a TUN interface, `N` times over, as if the network had brought it. Prints one JSON line: how many packets were sent,
 * and how many of them are malformed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { errnoName, native } from '../../src/native.js'
import { malformed } from '../../test/wire/malformed.js'

export interface Injected {
  readonly classes: number
  readonly sent: number
  readonly malformed: number
}

const { values } = parseArgs({ options: { tun: { type: 'string' }, rounds: { type: 'string', default: '1' } } })
const socket = native.captureOpen(values.tun ?? '', 0)
if (socket < 0) {
  console.error(`inject: cannot send on ${values.tun}: ${errnoName(socket)}.`)
  process.exit(1)
}
// The kernel itself writes the virtio-net header, and an empty packet cannot be sent, so these are left out.
const packets = malformed.filter(({ bytes, virtioSize = 0 }) => virtioSize === 0 && bytes.length > 0)
let sent = 0
let bad = 0
for (let round = 0; round < Number(values.rounds); round++) {
  for (const { bytes, expected } of packets) {
    if (native.write(socket, Uint8Array.from(bytes), 0, bytes.length) !== bytes.length) continue
    sent++
    if (expected !== 'ok') bad++
  }
  await sleep(20)
}
native.close(socket)
console.log(JSON.stringify({ classes: packets.length, sent, malformed: bad } satisfies Injected))

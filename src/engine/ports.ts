import { randomInt } from 'node:crypto'

/** Local ports of outgoing connections (WIRE.md; Linux's own default range). */
export const ephemeral = { first: 32_768, last: 60_999 } as const
const count = ephemeral.last - ephemeral.first + 1

/** Queue of a steered device that a connection's packets arrive on (`tunSteer`). */
export const queueOf = (localPort: number, remotePort: number, queues: number): number =>
  (localPort ^ remotePort) % queues

/** The first usable local port from a random start on, wrapping around; -1 when none is. */
export const choosePort = (usable: (port: number) => boolean): number => {
  const start = randomInt(count)
  for (let i = 0; i < count; i++) {
    const port = ephemeral.first + ((start + i) % count)
    if (usable(port)) return port
  }
  return -1
}

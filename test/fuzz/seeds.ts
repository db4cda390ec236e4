/** Where the fuzzer begins: every malformed frame by name, whole conversations, and what earlier runs found worth keeping. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { counting } from '../support/datagrams.js'
import {
  ACK,
  FIN,
  type FrameFields,
  frame,
  icmp4,
  ip4,
  packet4,
  RST,
  SYN,
  type VirtioSize,
} from '../support/packets.js'
import { malformed } from '../wire/malformed.js'
import { type Input, parse, type Step } from './input.js'

/** In the source tree: compiled code is in dist/. */
export const corpusFolder = fileURLToPath(new URL('../../../test/fuzz/corpus/', import.meta.url))

const packet = (fields: FrameFields, virtioSize: VirtioSize): Step => ({
  kind: 'packet',
  bytes: [...frame({ virtioSize, seq: 5000, ack: 1000, flags: ACK, ...fields })],
})
const wait = (ms: number): Step => ({ kind: 'wait', ms })
const answer = (...bytes: number[]): Step => ({ kind: 'answer', bytes })

/** To the connections that `Subject` has: seq 5000 is expected, ack 1000 is the newest. */
const conversations = (virtioSize: VirtioSize): Step[][] => {
  const p = (fields: FrameFields): Step => packet(fields, virtioSize)
  const payload = counting(100)
  const many = counting(1200)
  const gso = (gsoType: number) => ({
    virtio: { flags: 1, gsoType, gsoSize: 100, hdrLen: 40, csumStart: 20, csumOffset: 16 },
  })
  const stranger = { sourcePort: 50_000, seq: 0, ack: 0, flags: SYN }
  const quote = packet4(
    { source: 0xc0a8c902, destination: 0xc0a8c901 },
    { sourcePort: 4567, destinationPort: 40_000, seq: 900 },
  )
  const tooBig = ip4(
    { source: 0x0a000009, destination: 0xc0a8c902, protocol: 1 },
    icmp4(quote.slice(0, 28), { mtu: 1300, code: 4 }),
  )
  return [
    ...([4, 6] as const).flatMap(family => [
      [p({ family, payload }), p({ family, payload, seq: 5100 }), p({ family, seq: 5200, flags: RST })],
      [
        p({ family, payload: many, ...gso(family === 4 ? 1 : 4) }),
        p({ family, payload: many, seq: 6200, ...gso(family === 4 ? 1 : 4) }),
      ],
      [
        p({ family, seq: 5001, flags: RST }),
        wait(500),
        p({ family, seq: 4999, flags: RST }),
        p({ family, flags: FIN | ACK }),
      ],
      [p({ family, seq: 4999 }), p({ family, seq: 4998 }), wait(500), p({ family, seq: 4997 })],
      [p({ family, payload, seq: 5000 + 2 ** 31 }), p({ family, payload, seq: 5100 + 2 ** 31 })],
      [
        p({ family, ...stranger }),
        answer(1, 2, 3),
        p({ family, sourcePort: 50_000, seq: 4, ack: 1, payload }),
        answer(),
      ],
      [p({ family, ...stranger }), wait(64_000), answer(), wait(130_000), answer(1)],
    ]),
    [
      p({ sourcePort: 40_001, seq: 7, ack: 1, flags: SYN | ACK }),
      p({ sourcePort: 40_001, seq: 7, ack: 1, flags: SYN | ACK }),
    ],
    [p({ sourcePort: 40_001, seq: 0, ack: 1, flags: RST | ACK })],
    [p({ sourcePort: 50_001, payload }), p({ sourcePort: 50_001, destinationPort: 9, flags: SYN, seq: 0, ack: 0 })],
    [p({ ...stranger, seq: 9 }), p({ ip4: { source: 0xc0a8c902 } })],
    [{ kind: 'packet', bytes: [...new Array<number>(virtioSize).fill(0), ...tooBig] }],
  ]
}

const named: Input[] = malformed
  .filter(({ bytes }) => bytes.length > 0)
  .map(({ bytes, virtioSize = 0 }) => ({ virtioSize: virtioSize as VirtioSize, steps: [{ kind: 'packet', bytes }] }))

const kept = (): Input[] =>
  readdirSync(corpusFolder)
    .filter(name => name.endsWith('.txt'))
    .sort()
    .map(name => parse(readFileSync(corpusFolder + name, 'utf8')))

export const seeds = (): Input[] => [
  ...named,
  ...([0, 10, 12] as const).flatMap(virtioSize => conversations(virtioSize).map(steps => ({ virtioSize, steps }))),
  ...kept(),
]

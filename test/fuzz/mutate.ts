/** Small changes to inputs: most keep a packet's checksums right, or nothing would ever get behind them. */
import type { VirtioSize } from '../support/packets.js'
import { naiveSum, word } from '../support/packets.js'
import type { Input, Step } from './input.js'

/** Numbers from 0 up to below `limit`; the same seed, the same numbers (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }
}

const interesting = [0, 1, 2, 4, 5, 6, 0x10, 0x14, 0x45, 0x60, 0x7f, 0x80, 0xff]
/** Around what the flows of `Subject` expect and have sent, and around the ends of the windows. */
const numbers = [999, 1000, 1001, 4996, 4997, 4999, 5000, 5001].flatMap(n => [n, n + 2 ** 31, n + 2 ** 26, n - 2 ** 26])
const most = 2_000

/** Makes an IPv4 or IPv6 packet's lengths and checksums right, as far as its headers are where they usually are. */
export const repair = (bytes: number[], virtioSize: VirtioSize): void => {
  const at = virtioSize
  const six = bytes[at] >>> 4 === 6
  const header = six ? 40 : (bytes[at] & 15) * 4
  const segment = at + header
  if (bytes.length < segment + 20 || header < 20) return
  const put = (offset: number, value: number) => bytes.splice(offset, 2, ...word(value))
  const length = bytes.length - segment
  if (six) put(at + 4, length)
  else {
    put(at + 2, bytes.length - at)
    put(at + 10, 0)
    put(at + 10, 0xffff - naiveSum(bytes.slice(at, segment)))
  }
  put(segment + 16, 0)
  const addresses = six ? bytes.slice(at + 8, at + 40) : bytes.slice(at + 12, at + 20)
  put(segment + 16, 0xffff - naiveSum([...addresses, 0, 6, ...word(length), ...bytes.slice(segment)]))
}

const alterBytes = (random: Random, old: readonly number[], virtioSize: VirtioSize): number[] => {
  const bytes = [...old]
  const at = random.below(bytes.length + 1)
  const field = (offset: number, value: number) =>
    bytes.splice(offset, 4, value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
  const tcp = virtioSize + (bytes[virtioSize] >>> 4 === 6 ? 40 : 20)
  const ways = [
    () => bytes.splice(at, 1, (bytes[at] ?? 0) ^ (1 << random.below(8))),
    () => bytes.splice(at, 1, random.of(interesting)),
    () => bytes.splice(at, 1, random.below(256)),
    () => bytes.splice(at, random.below(40)),
    () => bytes.splice(at, 0, ...Array.from({ length: random.below(40) }, () => random.below(256))),
    () => bytes.splice(at, 2, random.of([0, 0xff]), random.of([0, 1, 0x7f, 0x80, 0xff])),
    () => field(tcp + 4, random.of(numbers)),
    () => field(tcp + 8, random.of(numbers)),
    () => bytes.splice(tcp + 13, 1, random.of([1, 2, 4, 0x10, 0x11, 0x12, 0x14, 0x18])),
    () => bytes.splice(random.below(virtioSize + 1), 1, random.of([0, 1, 2, 3, 4, 5, 0x81, 255])),
  ]
  random.of(ways)()
  bytes.length = Math.min(bytes.length, most)
  if (random.below(5) > 0) repair(bytes, virtioSize)
  return bytes
}

const alterStep = (random: Random, step: Step, virtioSize: VirtioSize): Step =>
  step.kind === 'wait'
    ? { kind: 'wait', ms: random.of([1, 9, 10, 499, 500, 1_000, 64_000, 130_000]) }
    : { kind: step.kind, bytes: alterBytes(random, step.bytes, step.kind === 'packet' ? virtioSize : 0) }

/** Another input, made of this one and, sometimes, of a piece of `other`. */
export const mutate = (random: Random, input: Input, other: Input): Input => {
  const steps = [...input.steps]
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(steps.length)
    const ways = [
      () => steps.splice(at, 1, alterStep(random, steps[at], input.virtioSize)),
      () => steps.splice(at, 1, alterStep(random, steps[at], input.virtioSize)),
      () => steps.splice(at, 1, alterStep(random, steps[at], input.virtioSize)),
      () => steps.splice(at, 0, steps[at]),
      () => steps.length > 1 && steps.splice(at, 1),
      () => steps.splice(at, 0, { kind: 'wait', ms: random.below(1_000) }),
      () => steps.splice(at + 1, 0, { kind: 'answer', bytes: [1, 2, 3].slice(random.below(4)) }),
      () =>
        other.virtioSize === input.virtioSize &&
        steps.splice(at, 0, ...other.steps.slice(random.below(other.steps.length))),
    ]
    random.of(ways)()
  }
  return { virtioSize: input.virtioSize, steps: steps.slice(0, 16) }
}

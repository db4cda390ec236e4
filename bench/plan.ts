import type { Shape } from '../src/lab/network.js'
import type { Peer, Scenario } from './scenario.js'

/** One run to make. */
export interface Step {
  round: number
  shape: Shape
  scenario: Scenario
  peer: Peer
}

export interface Choice {
  rounds: number
  shapes: readonly Shape[]
  /** Groups or scenarios. Undefined means all. */
  only: readonly string[] | undefined
  /** Beginnings of peers' names. Undefined means all. */
  peers: readonly string[] | undefined
  /** Only the scenarios and shapes that a quick look keeps. */
  quick: boolean
}

const named = (scenario: Scenario, only: readonly string[] | undefined): boolean =>
  only?.some(name => scenario.name === name || scenario.name.startsWith(`${name}/`)) ?? true

/**
 * Runs in the order in which they are made: round by round, shape by shape, peers in turn. Each round begins with
 * another peer, so that whatever else the machine does hits all alike. A named scenario is run in a quick look too.
 */
export const plan = (scenarios: readonly Scenario[], choice: Choice): Step[] => {
  const { rounds, only, peers: names, quick } = choice
  const steps: Step[] = []
  for (let round = 0; round < rounds; round++) {
    for (const shape of choice.shapes) {
      for (const scenario of scenarios) {
        const shapes = quick && only === undefined ? scenario.quick : scenario.shapes
        if (!shapes.includes(shape) || !named(scenario, only)) continue
        const peers = scenario.peers
          .filter(peer => names?.some(name => peer.name.startsWith(name)) ?? true)
          .filter(peer => !(quick && only === undefined && peer.slow))
        for (let i = 0; i < peers.length; i++) {
          steps.push({ round, shape, scenario, peer: peers[(i + round) % peers.length] })
        }
      }
    }
  }
  return steps
}

/** How much time is left, by what the runs so far have taken. */
export class Clock {
  readonly #seconds: number
  readonly #steps: readonly Step[]
  readonly #start = performance.now()
  #planned = 0
  #taken = 0

  /** `seconds` is the load of each run. */
  constructor(steps: readonly Step[], seconds: number) {
    this.#steps = steps
    this.#seconds = seconds
  }

  get elapsed(): number {
    return (performance.now() - this.#start) / 1000
  }

  /** A run took `seconds`. */
  took(step: Step, seconds: number): void {
    this.#planned += step.scenario.duration(this.#seconds)
    this.#taken += seconds
  }

  /** The time that one run takes, in seconds. */
  estimate(step: Step): number {
    if (step.peer.absent !== undefined) return 0
    const correction = this.#planned > 0 ? this.#taken / this.#planned : 1
    return step.scenario.duration(this.#seconds) * correction
  }

  /** The time that all runs from number `index` on take. */
  remaining(index: number): number {
    return this.#steps.slice(index).reduce((sum, step) => sum + this.estimate(step), 0)
  }
}

/** '45 s', '12 min'. */
export const timeText = (seconds: number): string =>
  seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`

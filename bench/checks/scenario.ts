import type { Network, NetworkOptions } from '../../src/lab/network.js'

/** Whose programs are tried. */
export type Kind = 'ours' | 'phantun'

export interface Context {
  /** The namespaces of A and B, made for this run. */
  readonly network: Network
  readonly kind: Kind
  /** The short form, for `npm test`, takes seconds instead of minutes and does less of everything. */
  readonly short: boolean
}

export interface Verdict {
  /** What was measured, in words: '0.2 % lost, new connection after 1.1 s'. */
  readonly figure: string
  readonly passed: boolean
}

export interface Scenario {
  readonly name: string
  /** One sentence: what the scenario does to the programs. */
  readonly what: string
  /** The condition that must hold. */
  readonly bar: string
  /** Whether phantun can take the same test. */
  readonly phantun: boolean
  /** The scenario has no short form: a test of its own covers it. */
  readonly long?: boolean
  readonly network?: NetworkOptions
  /** Answers why the scenario cannot run on this machine, or undefined. */
  absent?(): string | undefined
  run(context: Context): Promise<Verdict>
}

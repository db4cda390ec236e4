import type { Network, NetworkOptions } from '../../src/lab/network.js'

/** Who is tried. */
export type Kind = 'ours' | 'phantun'

export interface Context {
  /** A's and B's namespaces, made for this run. */
  readonly network: Network
  readonly kind: Kind
  /** The short form, for `npm test`: seconds instead of minutes, and less of everything. */
  readonly short: boolean
}

export interface Verdict {
  /** What was measured, in words: '0.2 % lost, new connection after 1.1 s'. */
  readonly figure: string
  readonly passed: boolean
}

export interface Scenario {
  readonly name: string
  /** What is done to it, one sentence. */
  readonly what: string
  /** What must hold. */
  readonly bar: string
  /** Whether phantun can take the same test. */
  readonly phantun: boolean
  /** Has no short form here: a test of its own is it. */
  readonly long?: boolean
  readonly network?: NetworkOptions
  /** Why it can't be run here, or undefined. */
  absent?(): string | undefined
  run(context: Context): Promise<Verdict>
}

import { parseArgs } from 'node:util'
import { type Shape, shapes } from '../src/lab/network.js'
import { MAX_SECONDS, number } from './load/options.js'

/**
 * Seconds in which `--quick` ends, on a slow machine too. What does not fit is left out. The reports take a part of
 * this time.
 */
const QUICK_BUDGET = 165
const DAY = 86_400

/** The options that bench/run.mjs describes. */
export interface Options {
  quick: boolean
  rounds: number
  /** Seconds of load in each run. */
  seconds: number
  only: string[] | undefined
  peers: string[] | undefined
  shapes: Shape[]
  /** The maximum wait for a quiet machine before each run, in seconds. */
  patience: number
  /** In seconds. */
  budget: number
  from: string | undefined
  again: string | undefined
  writeDocs: boolean
  profile: boolean
  list: boolean
}

const list = (text: string | undefined): string[] | undefined => text?.split(',').map(item => item.trim())

/** Throws when an option is not as described. */
export const parseOptions = (args: string[]): Options => {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      peers: { type: 'string' },
      shapes: { type: 'string' },
      quiet: { type: 'string', default: '0' },
      budget: { type: 'string' },
      from: { type: 'string' },
      again: { type: 'string' },
      'write-docs': { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  })
  const { quick } = values
  const unknown = list(values.shapes)?.find(name => !shapes.some(shape => shape === name))
  if (unknown !== undefined) throw new Error(`--shapes knows ${shapes.join(' and ')}, not ${unknown}`)
  return {
    quick,
    rounds: number(values.rounds ?? (quick ? '1' : '3'), '--rounds', 1, 100),
    seconds: number(values.seconds ?? (quick ? '1' : '4'), '--seconds', 0.1, MAX_SECONDS / 4),
    only: list(values.only),
    peers: list(values.peers),
    shapes: shapes.filter(shape => list(values.shapes)?.includes(shape) ?? true),
    patience: number(values.quiet, '--quiet', 0, 600),
    budget: number(values.budget ?? String(quick ? QUICK_BUDGET : DAY), '--budget', 1, DAY),
    from: values.from,
    again: values.again,
    writeDocs: values['write-docs'],
    profile: values.profile,
    list: values.list,
  }
}

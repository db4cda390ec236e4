import { invalid } from './errors.js'

/** A numeric option: its default and its range. Values are whole numbers from `min` to `max`. */
export interface NumberOption {
  /** The value when the option is absent. An option without a default stays undefined. */
  readonly default?: number
  readonly min: number
  readonly max: number
  /** Allows 0 too, even below `min`: it switches the feature off. */
  readonly orZero?: boolean
}

export type NumberOptions = Readonly<Record<string, NumberOption>>

/** Options as the caller gives them: for each entry of the table a number, or none. */
export type Given<Table extends NumberOptions> = { -readonly [Name in keyof Table]?: number }

/** Options that were checked, with the defaults filled in. */
export type Resolved<Table extends NumberOptions> = {
  readonly [Name in keyof Table]: Table[Name] extends { readonly default: number } ? number : number | undefined
}

/** Answers `value` if it is allowed. Otherwise throws INVALID_ARGUMENT; the message names `what`. */
export const whole = (what: string, value: number, { min, max, orZero = false }: NumberOption): number => {
  if (Number.isInteger(value) && ((value >= min && value <= max) || (orZero && value === 0))) return value
  throw invalid(`${what} must be ${orZero ? '0 or ' : ''}a whole number from ${min} to ${max}, not ${value}.`)
}

/**
 * Checks every number of a table and fills in the defaults. Messages put `prefix` in front of the names ('tun.').
 * Throws INVALID_ARGUMENT.
 */
export const resolveNumbers = <Table extends NumberOptions>(
  table: Table,
  given: Given<Table>,
  prefix = '',
): Resolved<Table> => {
  const resolved = Object.entries(table).map(([name, option]) => {
    const value = given[name] ?? option.default
    return [name, value === undefined ? undefined : whole(`\`${prefix}${name}\``, value, option)]
  })
  return Object.fromEntries(resolved) as Resolved<Table>
}

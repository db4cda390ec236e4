import { invalid } from './errors.js'

/** What is allowed for a number among the options: a whole number from `min` to `max`. */
export interface NumberOption {
  /** What it is when nobody gives it; absent: nothing. */
  readonly default?: number
  readonly min: number
  readonly max: number
  /** 0 is allowed too, whatever `min` says, and switches the thing off. */
  readonly orZero?: boolean
}

export type NumberOptions = Readonly<Record<string, NumberOption>>

/** Options as a program gives them: a number for each entry of a table, or none. */
export type Given<Table extends NumberOptions> = { -readonly [Name in keyof Table]?: number }

/** The same once they are checked, and the defaults are filled in. */
export type Resolved<Table extends NumberOptions> = {
  readonly [Name in keyof Table]: Table[Name] extends { readonly default: number } ? number : number | undefined
}

/** `value` when it is allowed, else INVALID_ARGUMENT naming `what`. */
export const whole = (what: string, value: number, { min, max, orZero = false }: NumberOption): number => {
  if (Number.isInteger(value) && ((value >= min && value <= max) || (orZero && value === 0))) return value
  throw invalid(`${what} must be ${orZero ? '0 or ' : ''}a whole number from ${min} to ${max}, not ${value}.`)
}

/** Every number of a table. `prefix` stands in front of the names in messages: 'tun.'. Throws INVALID_ARGUMENT. */
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

import { InvalidArgumentError } from 'commander'
import { FakeTcpError } from '../errors.js'
import { parseAddress } from '../net/address.js'

/**
 * Validates and converts one value: the text that the user typed, or a value of the right type already. Throws
 * InvalidArgumentError with a sentence that begins with 'It'.
 */
export type Reader<T> = (value: unknown) => T

export const text: Reader<string> = value => {
  if (typeof value !== 'string') throw new InvalidArgumentError('It must be text.')
  return value
}

/** Value of a flag that takes none: true, or false for `--no-…`. */
export const trueOrFalse: Reader<boolean> = value => {
  if (typeof value !== 'boolean') throw new InvalidArgumentError('It must be true or false.')
  return value
}

export interface WholeNumber {
  readonly min?: number
  readonly max?: number
  /** The option's units in one unit of the flag: 1,000 when the flag has seconds and the option milliseconds. */
  readonly scale?: number
}

/** Whole numbers in the flag's unit. `min`, `max` and the result are in the option's unit. */
export const wholeNumber =
  ({ min = 0, max = Number.MAX_SAFE_INTEGER, scale = 1 }: WholeNumber = {}): Reader<number> =>
  value => {
    const number = typeof value === 'string' && /^\d+$/u.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isInteger(number) || number < 0) {
      throw new InvalidArgumentError('It must be a whole number.')
    }
    const [from, to] = [Math.ceil(min / scale), Math.floor(max / scale)]
    if (number < from || number > to) throw new InvalidArgumentError(`It must be from ${from} to ${to}.`)
    return number * scale
  }

/** Whole numbers as text, '3,4', or as an array. */
export const wholeNumbers: Reader<number[]> = value =>
  (Array.isArray(value) ? value : text(value).split(',')).map(wholeNumber())

/** One of `words`. */
export const oneOf =
  <Word extends string>(words: readonly Word[]): Reader<Word> =>
  value => {
    const found = words.find(word => word === value)
    if (found === undefined) throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
    return found
  }

/** An IP address of this family, in its usual form. */
export const address =
  (family: 4 | 6): Reader<string> =>
  value => {
    try {
      return parseAddress(text(value), 'It', family).text
    } catch (error) {
      if (!(error instanceof FakeTcpError)) throw error
      throw new InvalidArgumentError(error.message)
    }
  }

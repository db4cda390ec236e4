import { InvalidArgumentError } from 'commander'
import { FakeTcpError } from '../errors.js'
import { parseAddress } from '../net/address.js'

/**
 * Reads one value: text, as it was typed, or what a file says: text, a number, true or false, a list. Throws
 * InvalidArgumentError with a sentence that begins with 'It'.
 */
export type Reader<T> = (value: unknown) => T

export const text: Reader<string> = value => {
  if (typeof value !== 'string') throw new InvalidArgumentError('It must be text.')
  return value
}

/** For flags that stand alone, which are true, or false as `--no-…`. */
export const trueOrFalse: Reader<boolean> = value => {
  if (typeof value !== 'boolean') throw new InvalidArgumentError('It must be true or false.')
  return value
}

export interface WholeNumber {
  readonly min?: number
  readonly max?: number
  /** So many of the option's unit are one of the flag's: 1,000 for seconds where the option has milliseconds. */
  readonly scale?: number
}

/** Whole numbers within the bounds of an option, in the option's unit. */
export const wholeNumber =
  ({ min = 0, max = Number.MAX_SAFE_INTEGER, scale = 1 }: WholeNumber = {}): Reader<number> =>
  value => {
    const number = typeof value === 'string' && /^\d+$/u.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isInteger(number) || number < 0) {
      throw new InvalidArgumentError('It must be a whole number.')
    }
    const [least, most] = [Math.ceil(min / scale), Math.floor(max / scale)]
    if (number < least || number > most) throw new InvalidArgumentError(`It must be from ${least} to ${most}.`)
    return number * scale
  }

/** '3,4', or a list. */
export const wholeNumbers: Reader<number[]> = value =>
  (Array.isArray(value) ? value : text(value).split(',')).map(wholeNumber())

export const oneOf =
  <Word extends string>(words: readonly Word[]): Reader<Word> =>
  value => {
    const found = words.find(word => word === value)
    if (found === undefined) throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
    return found
  }

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

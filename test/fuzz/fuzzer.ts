/** The loop: mutate what found something new, keep what finds something new, stop at what cannot be explained. */
import { Coverage } from './coverage.js'
import type { Input } from './input.js'
import { mutate, Random } from './mutate.js'
import { Finding, Subject, type SubjectOptions } from './subject.js'

/** Inputs between two looks at the coverage: a look costs as much as twenty inputs. */
const batch = 32

export interface Outcome {
  runs: number
  /** Blocks of code and kinds of consequences that were reached. */
  reached: number
  /** Whether the addon's edges are among them. */
  native: boolean
  /** What reached something new, in the order found. */
  kept: Input[]
  failure?: { input: Input; error: Error }
}

export class Fuzzer {
  readonly #coverage = new Coverage()
  readonly #subjects = new Map<number, Subject>()
  readonly #options: SubjectOptions
  readonly #random: Random
  /** Consequences of one packet, and pairs of them that followed each other. */
  readonly #stories = new Set<string>()

  constructor(seed: number, options: SubjectOptions = {}) {
    this.#random = new Random(seed)
    this.#options = options
  }

  /** Runs `seeds`, then changes of them until `goesOn` says no. */
  run(seeds: readonly Input[], goesOn: () => boolean): Outcome {
    const corpus: Input[] = [...seeds]
    const kept: Input[] = []
    let runs = 0
    const outcome = (failure?: Outcome['failure']): Outcome => ({
      ...{ runs, reached: this.#coverage.size + this.#stories.size, native: this.#coverage.native, kept },
      ...(failure && { failure }),
    })
    let current = corpus[0]
    try {
      for (current of seeds) {
        this.#news(current)
        runs++
      }
      this.#coverage.news()
      while (goesOn()) {
        const inputs = Array.from({ length: batch }, () =>
          mutate(this.#random, this.#random.of(corpus), this.#random.of(corpus)),
        )
        const telling = inputs.map(input => {
          current = input
          runs++
          return this.#news(input)
        })
        const anything = this.#coverage.news()
        for (const [i, input] of inputs.entries()) {
          // Somebody of this batch reached new code: most of those that do it again have another story, too.
          if (!telling[i] && !(anything && i % 8 === 0)) continue
          corpus.push(input)
          kept.push(input)
        }
      }
      return outcome()
    } catch (error) {
      return outcome({ input: current, error: error as Error })
    }
  }

  close(): void {
    for (const subject of this.#subjects.values()) subject.close()
    this.#coverage.close()
  }

  /** Runs it; whether its consequences were new. */
  #news({ virtioSize, steps }: Input): boolean {
    let subject = this.#subjects.get(virtioSize)
    if (subject === undefined) {
      subject = new Subject(virtioSize, this.#options)
      this.#subjects.set(virtioSize, subject)
    }
    const before = this.#stories.size
    const story = subject.run(steps).split(';')
    for (const [i, part] of story.entries()) {
      this.#stories.add(part)
      this.#stories.add(`${story[i - 1] ?? ''};${part}`)
    }
    return this.#stories.size > before
  }
}

/** Those of `inputs` that have a consequence which neither `seeds` nor an earlier one of them has. */
export const distil = (seeds: readonly Input[], inputs: readonly Input[]): Input[] => {
  const known = new Set<string>()
  const subjects = new Map<number, Subject>()
  const isNew = ({ virtioSize, steps }: Input): boolean => {
    const subject = subjects.get(virtioSize) ?? new Subject(virtioSize)
    subjects.set(virtioSize, subject)
    const before = known.size
    for (const part of subject.run(steps).split(';')) known.add(part)
    return known.size > before
  }
  for (const seed of seeds) isNew(seed)
  const kept = inputs.filter(isNew)
  for (const subject of subjects.values()) subject.close()
  return kept
}

/** The shortest run of an input's steps that still fails alike: drops steps, then bytes from the end. */
export const shorten = (input: Input, options: SubjectOptions = {}): Input => {
  const fails = (candidate: Input): boolean => {
    const subject = new Subject(candidate.virtioSize, options)
    try {
      subject.run(candidate.steps)
      return false
    } catch (error) {
      return error instanceof Finding
    } finally {
      subject.close()
    }
  }
  let best = input
  for (let at = best.steps.length - 1; at >= 0; at--) {
    const candidate = { ...best, steps: best.steps.toSpliced(at, 1) }
    if (fails(candidate)) best = candidate
  }
  return best
}

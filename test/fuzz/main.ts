/** `node dist/test/fuzz/main.js [--seconds 60] [--seed N] [--save]`: see scripts/fuzz.mjs, which builds what it needs. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { distil, Fuzzer, shorten } from './fuzzer.js'
import { format, type Input } from './input.js'
import { corpusFolder, seeds } from './seeds.js'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    save: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)
const seed = Number(values.seed)
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error('fuzz: --seconds takes a positive number, --seed a whole one.')
  process.exit(2)
}

const save = (input: Input, comment: string): string => {
  const text = format(input)
  const path = `${corpusFolder}${createHash('sha256').update(text).digest('hex').slice(0, 12)}.txt`
  writeFileSync(path, `# ${comment}\n${text}`)
  return path
}

const fuzzer = new Fuzzer(seed)
const end = performance.now() + seconds * 1000
const { runs, reached, native, kept, failure } = fuzzer.run(seeds(), () => performance.now() < end)
console.log(
  `fuzz: seed ${seed}, ${runs} inputs in ${seconds} s, ${reached} places and consequences reached` +
    `${native ? '' : ' (the addon’s not counted)'}, ${kept.length} inputs found something new`,
)
if (values.save) for (const input of distil(seeds(), kept)) save(input, `found with seed ${seed}`)
if (failure !== undefined) {
  const path = save(shorten(failure.input), failure.error.message)
  console.error(`fuzz: ${failure.error.stack}\nfuzz: the input is in ${path}`)
  process.exit(1)
}
fuzzer.close()

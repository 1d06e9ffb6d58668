/**
 * `npm run fuzz [-- --minutes M] [--seed S] [--only TEXT]`: the properties of packages/lovage/test/fuzz, in rounds, each with
 * the next seed, until the time is over or one fails. What failed is added, shrunk, to packages/lovage/test/fuzz/corpus.
 */
import { parseArgs } from 'node:util'
import { runNode, vitest } from './run-node.js'

const help = `npm run fuzz [-- --minutes M] [--seed S] [--only TEXT]

Plays the properties of packages/lovage/test/fuzz with random cases, in rounds, until the time is over.
  --minutes M  how long (default: 10); the last round may take a minute more
  --seed S     the first round's seed, later ones count up (default: drawn, and printed)
  --only TEXT  only tests whose name holds TEXT

A case that fails is shrunk, shown, and added to packages/lovage/test/fuzz/corpus: commit it with the mended code.
Exit code: 0 when all held, 1 when one did not or none was played, 64 for a wrong option, 128 and its
number for a signal.`

/** Of each property in one round. */
const roundMs = 5000

function options() {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
        only: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return undefined
    if (!(Number(values.minutes) > 0)) throw new Error(`--minutes ${values.minutes}: expected a number above 0`)
    // fast-check takes 32 bits
    if (!/^\d{1,9}$|^[12]\d{9}$/.test(values.seed) || Number(values.seed) > 0x7fffffff)
      throw new Error(`--seed ${values.seed}: expected a whole number up to 2147483647`)
    return { minutes: Number(values.minutes), seed: Number(values.seed), only: values.only }
  } catch (error) {
    console.error(error.message)
    console.error('See: npm run fuzz -- --help')
    process.exit(64)
  }
}

const given = options()
if (given === undefined) {
  console.log(help)
  process.exit(0)
}

const endsAt = Date.now() + given.minutes * 60_000
for (let round = 0; round === 0 || Date.now() < endsAt; round++) {
  const seed = (given.seed + round) % 0x7fffffff
  console.log(`\nround ${round + 1}: npm run fuzz -- --seed ${seed}`)
  const only = given.only === undefined ? [] : ['-t', given.only]
  const code = await runNode([vitest, 'run', '--project', 'fuzz', ...only], {
    ...process.env,
    FUZZ_SEED: String(seed),
    FUZZ_MS: String(Math.max(200, Math.min(roundMs, (endsAt - Date.now()) / 20))),
    FUZZ_KEEP: '1',
    MUST_TEST: '1',
  })
  if (code !== 0) process.exit(code)
}

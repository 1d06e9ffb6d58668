/**
 * `npm run simulate -- --seeds 5000 [--seed N] [--from N] [--break ack-before-store|no-fencing|lost-wakeup] [--verbose]`
 * Plays that many histories and prints what happened in them; exit code 1 when an invariant was violated.
 */
import { parseArgs } from 'node:util'
import type { Breakage } from './cluster.ts'
import { simulate, type History } from './simulator.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    break: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
})
const breakages: readonly string[] = ['ack-before-store', 'no-fencing', 'lost-wakeup']

function isBreakage(text: string | undefined): text is Breakage | undefined {
  return text === undefined || breakages.includes(text)
}

if (!isBreakage(values.break)) {
  console.error(`--break ${values.break}: one of ${breakages.join(', ')}`)
  process.exit(2)
}
const breakage = values.break
const first = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.seeds) : 1
const startedAt = performance.now()
const histories = await simulate(
  Array.from({ length: count }, (_, index) => first + index),
  { breakage, tells: values.verbose },
)
const seconds = (performance.now() - startedAt) / 1000

if (values.verbose) for (const { story } of histories) console.log(story.join('\n'))
const sums = new Map<string, number>([['seeds', histories.length]])
for (const { counts } of histories)
  for (const [name, value] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + value)
for (const [name, value] of sums) console.log(`${name.padEnd(16)} ${String(value).padStart(12)}`)
const violated = histories.filter(({ violation }) => violation !== undefined).sort((a, b) => a.seed - b.seed)
console.log(`${'violations'.padEnd(16)} ${String(violated.length).padStart(12)}`)
console.log(`${seconds.toFixed(1)} s, ${Math.round((sums.get('steps') ?? 0) / seconds)} steps/s`)
for (const [invariant, found] of Map.groupBy(violated, ({ violation }) => violation?.invariant))
  report(invariant, found)
process.exitCode = violated.length === 0 ? 0 : 1

function report(invariant: string | undefined, found: readonly History[]): void {
  console.log(`\n${invariant}: ${found.length} histories`)
  for (const { seed, violation } of found.slice(0, 3)) console.log(`  seed ${seed}: ${violation?.detail}`)
  const flags = breakage === undefined ? '' : ` --break ${breakage}`
  console.log(`  see it: npm run simulate -- --seed ${found[0]?.seed}${flags} --verbose`)
}

/** The command: plays histories, prints what happened in them, shrinks the first failing one of each kind. */
import { parseArgs } from 'node:util'
import { breakages, isBreakage } from './breakages.ts'
import { commandFor, describePlan, shrink } from './shrink.ts'
import type { History } from './simulator.ts'
import { tally } from './tally.ts'

const help = `npm run simulate -- [options]

Plays histories of workers, callers and observers under faults and checks every invariant after every event.

  --seeds N       how many histories (5000)
  --from N        the first seed (0)
  --seed N        this one only
  --only PARTS    of it, these parts only: t3,f1,w2,lost-answer (what a shrunk history prints)
  --luck N        another order of its events (what a shrunk history prints)
  --verbose       tells every event
  --coverage      prints the table of states and faults, and what came up too seldom
  --break NAME    a build that is broken on purpose:

${Object.entries(breakages)
  .map(([name, what]) => `      ${name.padEnd(31)} ${what}`)
  .join('\n')}

Exit code: 0 all holds, 1 an invariant was violated or a pair came up too seldom, 2 the call is wrong.`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    only: { type: 'string' },
    luck: { type: 'string' },
    break: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(help)
  process.exit(0)
}
if (values.break !== undefined && !isBreakage(values.break)) {
  console.error(`--break ${values.break}: one of ${Object.keys(breakages).join(', ')}`)
  process.exit(2)
}
const breakage = values.break
const only = values.only === undefined ? undefined : new Set(values.only.split(','))
const first = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.seeds) : 1
// errors are made by the million, and nobody reads where
Error.stackTraceLimit = 0
const startedAt = performance.now()
const seeds = Array.from({ length: count }, (_, index) => first + index)
const result = await tally(seeds, { breakage, tells: values.verbose, only, luck: Number(values.luck ?? 0) }, tell)
const seconds = (performance.now() - startedAt) / 1000

printSums()
for (const found of Map.groupBy(result.failed, ({ violation }) => violation?.invariant).values()) await report(found)
const isCovered = values.coverage ? printCoverage() : true
process.exitCode = result.failed.length === 0 && isCovered ? 0 : 1

function tell({ story }: History): void {
  if (story.length > 0) console.log(story.join('\n'))
}

function printSums(): void {
  const sums = [...result.sums, ['violations', result.failed.length] as const]
  for (const [name, value] of sums) console.log(`${name.padEnd(16)} ${String(value).padStart(12)}`)
  console.log(`${seconds.toFixed(1)} s, ${Math.round((result.sums.get('steps') ?? 0) / seconds)} steps/s`)
}

async function report(found: readonly History[]): Promise<void> {
  const [failed] = found
  if (failed?.violation === undefined) return
  console.log(`\n${failed.violation.invariant}: ${found.length} histories`)
  for (const { plan, violation } of found.slice(0, 3)) console.log(`  seed ${plan.seed}: ${violation?.detail}`)
  const shrunk = await shrink(failed, { breakage })
  console.log(`\nthe first of them, with all taken out that it does not need:\n${describePlan(shrunk.plan)}`)
  console.log(`  → ${shrunk.violation?.detail}\n  see it: ${commandFor(shrunk, breakage)}`)
}

/** Whether every pair that can exist came up often enough. */
function printCoverage(): boolean {
  console.log(`\n${result.coverage.table()}`)
  const short = result.coverage.short(result.histories)
  console.log(short.length === 0 ? '\nevery pair came up often enough' : `\ntoo seldom:\n  ${short.join('\n  ')}`)
  return short.length === 0
}

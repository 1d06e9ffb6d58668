/** The command: plays histories, prints what happened in them, shrinks the first failing one of each kind. */
import { parseOptions, type Options } from './options.ts'
import { commandFor, describePlan, shrink } from './shrink.ts'
import type { History } from './simulator.ts'
import { tally } from './tally.ts'

const options = readOptions()
const { breakage } = options
// errors are made by the million, and nobody reads where
Error.stackTraceLimit = 0
const startedAt = performance.now()
const result = await tally(options.seeds, options, tell)
const seconds = (performance.now() - startedAt) / 1000

printSums()
for (const found of Map.groupBy(result.failed, ({ violation }) => violation?.invariant).values()) await report(found)
const isCovered = options.coverage ? printCoverage() : true
process.exitCode = result.failed.length === 0 && isCovered ? 0 : 1

function readOptions(): Options {
  try {
    const given = parseOptions(process.argv.slice(2))
    if (typeof given !== 'string') return given
    console.log(given)
    process.exit(0)
  } catch (error) {
    console.error(`${(error as Error).message}\n\nSee npm run simulate -- --help`)
    process.exit(64)
  }
}

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

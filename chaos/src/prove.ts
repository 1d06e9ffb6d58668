/**
 * `npm run prove`: the proof in about ten minutes, on the machine of whoever reads this. Parts of the simulator, of the
 * crash points and of chaos; then two builds with a bug, which must be found, or the rest proves nothing. The other bugs
 * take a minute each, and are named.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { arch, availableParallelism, cpus, platform, tmpdir, totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { breakNames } from './breaks/all.ts'
import { formatReport, type Report } from './report.ts'
import { count, positive } from './values.ts'

const repository = resolve(import.meta.dirname, '../..')

/** One that loses tasks, and one that needs a freeze: both kinds of what is done to workers. */
const provenBreaks: readonly string[] = ['ack-before-store', 'no-fencing']

/** Of their names: those on the embedded default. */
const crashPoints = 'crash point( >)? sqlite( >)? (kill|stop|throw)'

const usage = `Proves in about ten minutes, on this machine, that nothing is lost.

usage: npm run prove -- [options]

  --minutes M    how long real workers are killed and frozen (4)
  --seeds N      histories of the simulator (5000)
  --seed S       of the chaos (a new one each time)
  --help

exit: 0 everything held and both seeded bugs were found, 1 something did not, 64 a wrong argument

Of ${breakNames.length} seeded bugs it tries ${provenBreaks.length}: ${provenBreaks.join(', ')}. The others, a minute each:
  npm run chaos -- --break NAME

More: npm run simulate -- --help, npm run chaos -- --help, npm run faults, docs/guarantees.md
`

interface Part {
  readonly name: string
  readonly what: string
  readonly args: readonly string[]
  /** Of a seeded bug: 1, it was found. */
  readonly wants: number
}

interface Outcome {
  readonly part: Part
  readonly isGood: boolean
  readonly said: string
  readonly seconds: number
}

// again and again: npm passes on what the terminal has sent already, and the second one must not cut the cleaning short
process.on('SIGHUP', () => process.exit(129))
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))

try {
  process.exitCode = await prove()
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error
  console.error(`${error.message}\n\n${usage}`)
  process.exitCode = 64
}

async function prove(): Promise<number> {
  const option = { type: 'string' } as const
  const { values } = parseArgs({
    options: { minutes: option, seeds: option, seed: option, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const folder = mkdtempSync(join(tmpdir(), 'lovage-prove-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const json = join(folder, 'chaos.json')
  const seed = count('seed', values.seed, 1 + Math.floor(Math.random() * 1_000_000))
  const parts = partsOf({
    minutes: positive('minutes', values.minutes, 4),
    seeds: count('seeds', values.seeds, 5000),
    seed,
    json,
  })
  const outcomes: Outcome[] = []
  for (const part of parts) outcomes.push(await play(part))
  console.log(summary(outcomes, json))
  return outcomes.every(({ isGood }) => isGood) ? 0 : 1
}

interface Sizes {
  readonly minutes: number
  readonly seeds: number
  readonly seed: number
  readonly json: string
}

function partsOf({ minutes, seeds, seed, json }: Sizes): Part[] {
  const chaos = 'chaos/src/main.ts'
  const broken = (name: string): Part => {
    const args = [chaos, '--break', name, '--seed', String(seed), '--keep', join(dirname(json), name)]
    return { name: 'seeded bug', what: name, args, wants: 1 }
  }
  return [
    {
      name: 'simulator',
      what: `${seeds} histories`,
      args: ['packages/lovage/test/simulation/simulate.ts', '--seeds', String(seeds)],
      wants: 0,
    },
    {
      name: 'crash points',
      what: 'killed, frozen, thrown at',
      // on the embedded default; the other drivers in `npm test`
      args: ['node_modules/vitest/vitest.mjs', 'run', '--project', 'faults', 'crash-p', '-t', crashPoints],
      wants: 0,
    },
    { name: 'fuzz', what: 'half a minute', args: ['scripts/fuzz.js', '--minutes', '0.5'], wants: 0 },
    {
      name: 'chaos',
      what: `${minutes} minutes, seed ${seed}`,
      args: [chaos, '--minutes', String(minutes), '--seed', String(seed), '--json', json],
      wants: 0,
    },
    ...provenBreaks.map(broken),
  ]
}

async function play(part: Part): Promise<Outcome> {
  console.log(`\n${part.name}: ${part.what}`)
  const startedAt = performance.now()
  const child = spawn(process.execPath, part.args, { cwd: repository, stdio: ['ignore', 'pipe', 'inherit'] })
  const goneWithUs = (): void => void child.kill()
  process.once('exit', goneWithUs)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    process.stdout.write(text)
  })
  const code = await new Promise<number | null>(done => child.once('close', done))
  process.off('exit', goneWithUs)
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const lines = output.split('\n').filter(line => line.trim() !== '' && !line.startsWith('histories:'))
  const asked = lines.find(line => part.wants === 1 && /^(?:Found|NOT found) as /.test(line))
  const said = asked ?? lines.find(line => line.endsWith('VIOLATIONS')) ?? lines.at(-1) ?? ''
  // a bug is found by its own rule, or anything that goes wrong would do; tests that were all left out prove nothing
  const isShown = part.wants === 1 ? said.startsWith('Found as ') : !said.startsWith('0 passed')
  return { part, isGood: code === part.wants && isShown, said, seconds }
}

function summary(outcomes: readonly Outcome[], json: string): string {
  const rows = outcomes.map(({ part, isGood, said, seconds }) => {
    const verdict = part.wants === 1 ? (isGood ? 'found' : 'MISSED') : isGood ? 'holds' : 'BROKEN'
    return [part.name, part.what, verdict, `${seconds} s`, said.trim().slice(0, 60)]
  })
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  const machine = `${cpus()[0]?.model ?? arch()}, ${availableParallelism()} cores, ${gigabytes} GB, ${platform()}, Node ${process.versions.node}`
  const isGood = outcomes.every(outcome => outcome.isGood)
  return [
    '',
    machine,
    '',
    table(rows),
    '',
    ...chaosFigures(json),
    isGood
      ? `Everything held, and ${provenBreaks.length} of ${breakNames.length} seeded bugs were tried and found.`
      : 'SOMETHING DID NOT HOLD: see above.',
    `The other ${breakNames.length - provenBreaks.length} bugs: npm run chaos -- --break NAME, and --help for their names`,
  ].join('\n')
}

function chaosFigures(json: string): string[] {
  try {
    return [formatReport(JSON.parse(readFileSync(json, 'utf8')) as Report), '']
  } catch {
    return []
  }
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(
      row =>
        `  ${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}`,
    )
    .join('\n')
}

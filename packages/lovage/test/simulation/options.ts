/** The command line of the simulator: read, and refused where it makes no sense. A run of no history proves nothing. */
import { parseArgs } from 'node:util'
import { breakages, isBreakage, type Breakage } from './breakages.ts'
import { noiseNames, partOfNoise } from './plan.ts'

export interface Options {
  readonly seeds: readonly number[]
  readonly only: ReadonlySet<string> | undefined
  readonly luck: number
  readonly breakage: Breakage | undefined
  readonly tells: boolean
  readonly coverage: boolean
}

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

Exit code: 0 all holds, 1 an invariant was violated or a pair came up too seldom, 64 a wrong argument.`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const

/** A text: the help that was asked for. @throws {TypeError | RangeError} the message is for people. */
export function parseOptions(args: readonly string[]): Options | string {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: text,
      from: text,
      seed: text,
      only: text,
      luck: text,
      break: text,
      verbose: flag,
      coverage: flag,
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return help
  const first = whole('from', values.from, 0)
  const count = whole('seeds', values.seeds, 5000)
  if (count === 0) throw new RangeError('--seeds is "0"; give a whole number above 0')
  return {
    seeds:
      values.seed === undefined
        ? Array.from({ length: count }, (_, index) => first + index)
        : [whole('seed', values.seed, 0)],
    only: values.only === undefined ? undefined : new Set(values.only.split(',').map(part)),
    luck: whole('luck', values.luck, 0),
    breakage: values.break === undefined ? undefined : breakage(values.break),
    tells: values.verbose ?? false,
    coverage: values.coverage ?? false,
  }
}

function whole(name: string, given: string | undefined, fallback: number): number {
  if (given === undefined) return fallback
  if (/^\d{1,9}$/.test(given)) return Number(given)
  throw new RangeError(`--${name} is "${given}"; give a whole number below 1000000000`)
}

function part(name: string): string {
  const noises = noiseNames.map(partOfNoise)
  if (/^(?:[fwco]\d+|t\d+\w*)$/.test(name) || noises.includes(name)) return name
  throw new RangeError(`--only ${name}: such as t3 (a task), f1 (a fault), w2, c1, o1, or one of ${noises.join(', ')}`)
}

function breakage(name: string): Breakage {
  if (isBreakage(name)) return name
  throw new RangeError(`--break ${name}: one of ${Object.keys(breakages).join(', ')}`)
}

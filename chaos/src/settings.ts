/** What a run is told: its command line. */
import { parseArgs } from 'node:util'
import { breakNames, breaks, describeBreaks } from './breaks/all.ts'
import { driverNames } from './drivers/all.ts'
import { usualMix, type Mix } from './programs/mix.ts'
import { count, number, positive } from './values.ts'

export interface Settings {
  readonly driver: string
  readonly minutes: number
  readonly seed: number
  readonly workers: number
  readonly producers: number
  readonly readers: number
  readonly killsPerMinute: number
  readonly freezesPerMinute: number
  readonly producerKillsPerMinute: number
  /** Of the disk. */
  readonly fillsPerMinute: number
  /** Tasks a second, of all producers together. */
  readonly rate: number
  readonly mix: Mix
  readonly leaseMs: number
  /** The name of a seeded bug. */
  readonly break?: string
  /** Where the histories stay, whatever comes out. */
  readonly keep?: string
  readonly json?: string
}

export const usage = `Kills, freezes, stops and starts real workers under load, fills and frees their disk, and
checks from what producers, tasks and readers wrote down that nothing was lost and nothing went back.

usage: npm run chaos -- [options]

  --driver NAME          ${driverNames.join(', ')} (sqlite)
  --minutes M            how long faults are made (2; with --break 0.5)
  --seed S               decides what is done when (1)
  --workers N            (4)
  --producers N          (3)
  --readers N            (2)
  --kills-per-minute K   of workers; a quarter as many are frozen (40)
  --freezes-per-minute F
  --rate N               tasks a second (100)
  --lease MS             how long a task belongs to a worker that shows no life (2000)
  --break NAME           runs a copy of Lovage with one bug, with faults that show it; see below
  --keep DIR             the histories stay there; without it they stay only when something is wrong
  --json FILE            the figures as JSON
  --celery redis         the same kills for stock Celery: npm run chaos -- --celery redis --help
  --help

seeded bugs:
${describeBreaks()}

exit: 0 nothing was found, 1 something was, 2 the run itself failed, 64 a wrong argument
`

const optionTypes = {
  driver: { type: 'string' },
  minutes: { type: 'string' },
  seed: { type: 'string' },
  workers: { type: 'string' },
  producers: { type: 'string' },
  readers: { type: 'string' },
  'kills-per-minute': { type: 'string' },
  'freezes-per-minute': { type: 'string' },
  rate: { type: 'string' },
  lease: { type: 'string' },
  break: { type: 'string' },
  keep: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

/** @throws {TypeError | RangeError} an option is unknown or has no sensible value; the message is for people. */
export function parseSettings(args: readonly string[]): Settings | 'help' {
  const { values } = parseArgs({ args: [...args], options: optionTypes })
  if (values.help) return 'help'
  const focus = values.break === undefined ? {} : (breaks[oneOf('break', values.break, breakNames)]?.focus ?? {})
  const killsPerMinute = number('kills-per-minute', values['kills-per-minute'], focus.killsPerMinute ?? 40)
  return {
    driver: oneOf('driver', values.driver ?? 'sqlite', driverNames),
    minutes: positive('minutes', values.minutes, focus.minutes ?? (values.break === undefined ? 2 : 0.5)),
    seed: number('seed', values.seed, 1),
    workers: count('workers', values.workers, focus.workers ?? 4),
    producers: count('producers', values.producers, 3),
    readers: count('readers', values.readers, 2),
    killsPerMinute,
    freezesPerMinute: number(
      'freezes-per-minute',
      values['freezes-per-minute'],
      focus.freezesPerMinute ?? killsPerMinute / 4,
    ),
    producerKillsPerMinute: focus.producerKillsPerMinute ?? killsPerMinute / 15,
    fillsPerMinute: focus.fillsPerMinute ?? Math.min(1, killsPerMinute),
    rate: count('rate', values.rate, focus.rate ?? 100),
    mix: focus.mix ?? usualMix,
    leaseMs: count('lease', values.lease, 2000),
    ...(values.break === undefined ? {} : { break: values.break }),
    ...(values.keep === undefined ? {} : { keep: values.keep }),
    ...(values.json === undefined ? {} : { json: values.json }),
  }
}

function oneOf(name: string, value: string, known: readonly string[]): string {
  if (known.includes(value)) return value
  throw new RangeError(`--${name} ${value}: one of ${known.join(', ')}`)
}

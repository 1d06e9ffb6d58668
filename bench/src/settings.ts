/** What a run is told, and its command line. */
import { parseArgs } from 'node:util'
import { peerNames, type PeerName } from './peers/peer.ts'

export interface Settings {
  readonly isQuick: boolean
  readonly rounds: number
  /** How long one side is measured in one round. */
  readonly sideMs: number
  readonly concurrency: number
  readonly claim: number
  readonly prefetch: number
  /** Tasks in one call of enqueue. */
  readonly batch: number
  readonly only: readonly string[]
  readonly peers: readonly PeerName[]
  readonly folder: string
  readonly json: string
}

export const usage = `Measures Lovage on SQLite beside a hand-written loop and plainjob, and on RabbitMQ beside a hand-written loop, Celery
and celery-node.

usage: npm run bench -- [options]

  --quick            a sanity run of a few minutes; its figures mean little
  --only ROW         that row only, or "sqlite" or "rabbitmq": all rows on it; may be repeated
  --peer NAME        that side only; may be repeated:
                     ${peerNames.join(', ')}
  --rounds N         rounds of every row; the median is shown        (5; quick: 1)
  --seconds N        how long each side is measured in each round    (10; quick: 0.7)
  -c, --concurrency N  tasks a Lovage worker runs at once            (8)
  --claim N          messages the hand-written loop on SQLite claims at once        (400)
  --prefetch N       messages the hand-written loop on RabbitMQ holds, as Lovage at most  (1000)
  --batch N          tasks in one call of enqueue                    (100)
  --dir PATH         where the databases are made; its disk is what is measured
  --json PATH        where the figures go as JSON                    (bench/results/latest.json)
  --help

rows:
ROWS

examples:
  npm run bench
  npm run bench -- --quick
  npm run bench -- --only rabbitmq
  npm run bench -- --only execute --only end-to-end --rounds 7
  npm run bench -- --only round-trip --peer lovage --dir /mnt/fast --json round-trip.json
  npm run bench -- --only bounds        what limits the hand-written loop
`

/** @throws {TypeError | RangeError} an option is unknown or has no sensible value; the message is for people. */
export function parseSettings(args: readonly string[], home: string): Settings | 'help' {
  const { values } = parseArgs({ args: [...args], options: optionTypes })
  if (values.help) return 'help'
  const isQuick = values.quick ?? false
  return {
    isQuick,
    rounds: count('rounds', values.rounds, isQuick ? 1 : 5),
    sideMs: 1000 * positive('seconds', values.seconds, isQuick ? 0.7 : 10),
    concurrency: count('concurrency', values.concurrency, 8),
    claim: count('claim', values.claim, 400),
    prefetch: count('prefetch', values.prefetch, 1000),
    batch: count('batch', values.batch, 100),
    only: values.only ?? [],
    peers: (values.peer ?? peerNames).map(peerName),
    folder: values.dir ?? `${home}/results/data`,
    json: values.json ?? `${home}/results/latest.json`,
  }
}

const optionTypes = {
  quick: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  peer: { type: 'string', multiple: true },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  concurrency: { type: 'string', short: 'c' },
  claim: { type: 'string' },
  prefetch: { type: 'string' },
  batch: { type: 'string' },
  dir: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

function positive(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (!(value > 0)) throw new RangeError(`--${name} ${String(text)}: give a number above 0`)
  return value
}

function count(name: string, text: string | undefined, fallback: number): number {
  const value = positive(name, text, fallback)
  if (!Number.isInteger(value)) throw new RangeError(`--${name} ${String(text)}: give a whole number`)
  return value
}

function peerName(name: string): PeerName {
  const found = peerNames.find(known => known === name)
  if (!found) throw new RangeError(`--peer ${name}: one of ${peerNames.join(', ')}`)
  return found
}

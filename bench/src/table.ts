/** The figures as people read them: ours, and each peer's with its ratio to ours. */
import type { Machine } from './machine.ts'
import type { BrokerName, PeerName } from './peers/peer.ts'
import type { Metric } from './rows/row.ts'
import type { RowResult } from './run.ts'
import type { Settings } from './settings.ts'

type Sides = Readonly<Partial<Record<PeerName, Readonly<Record<string, string>>>>>
export type Configurations = Readonly<Partial<Record<BrokerName, Sides>>>

export function formatHeader(machine: Machine, settings: Settings, configurations: Configurations): string {
  const { cpu, cores, memoryGb, system, node, sqlite, rabbitmq, load, fsync } = machine
  const { rounds, sideMs, batch, concurrency } = settings
  return [
    `${cpu}, ${String(cores)} cores, ${String(memoryGb)} GB, ${system}; Node ${node}, its SQLite ${sqlite}` +
      (rabbitmq === undefined ? '' : `; RabbitMQ ${rabbitmq} on loopback`),
    `load ${load.join(' ')}; fsync ${formatNumber(fsync.medianMs)} ms median, ${formatNumber(fsync.p99Ms)} ms p99, ` +
      `${formatNumber(fsync.growingMedianMs)} ms when the file grows`,
    `median of ${String(rounds)} rounds, ${String(sideMs / 1000)} s a side, interleaved; ` +
      `batches of ${String(batch)}; -c ${String(concurrency)}`,
    ...Object.entries(configurations).flatMap(([broker, sides]) => [`on ${broker}`, ...formatSides(sides)]),
  ].join('\n')
}

function formatSides(sides: Sides): string[] {
  return Object.entries(sides).map(([peer, facts]) => {
    const text = Object.entries(facts).map(entry => entry.join(': '))
    return `  ${peer.padEnd(13)} ${text.join('; ')}`
  })
}

export function formatRow({ name, title, metrics, sides }: RowResult): string {
  const peers = Object.keys(sides) as PeerName[]
  const lines = metrics.flatMap(metric => [
    [
      `  ${metric.label ?? metric.name} (${metric.unit})`,
      ...peers.map(peer => formatCell(metric, sides, peer)),
      metric.isCpu ? '' : (metric.goal ?? ''),
    ],
    ...formatOwnCost(metric, sides, peers),
  ])
  const errors = peers.flatMap(peer => {
    const error = sides[peer]?.error
    return error === undefined ? [] : [`  ${peer} failed: ${error}`]
  })
  return [
    ...formatColumns([[`${name}: ${title}`], ['', ...peers, lines.some(line => line.at(-1)) ? 'goal' : ''], ...lines]),
    ...errors,
  ].join('\n')
}

/** Our CPU time without what the same durable work costs by hand. */
function formatOwnCost(
  { name, unit, isCpu, goal = '' }: Metric,
  sides: RowResult['sides'],
  peers: readonly PeerName[],
): string[][] {
  const ours = sides.lovage?.medians[name]
  const byHand = sides['hand-written']?.medians[name]
  if (!isCpu || ours === undefined || byHand === undefined) return []
  const cells = peers.map(peer => (peer === 'lovage' ? formatNumber(ours - byHand) : ''))
  return [[`  … above hand-written (${unit})`, ...cells, goal]]
}

function formatCell({ name, unit, isFact }: Metric, sides: RowResult['sides'], peer: PeerName): string {
  const value = sides[peer]?.medians[name]
  if (value === undefined || Number.isNaN(value)) return sides[peer]?.error === undefined ? '–' : 'failed'
  const ours = sides.lovage?.medians[name]
  const isCompared = peer !== 'lovage' && ours !== undefined && ours > 0 && unit !== '×' && !isFact
  return isCompared ? `${formatNumber(value)} (${formatRatio(value / ours)}×)` : formatNumber(value)
}

function formatRatio(ratio: number): string {
  return ratio < 0.1 ? ratio.toPrecision(2) : ratio.toFixed(2)
}

function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(3)
}

/** The first line stands alone; the others are columns. */
function formatColumns([head = [], ...lines]: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)))
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return [head.join(''), ...lines.map(line => line.map(pad).join('   ').trimEnd())]
}

/** The matrix as a table: for whoever runs it, and as the page of the documentation. */
import type { Cell, Direction } from './stage.ts'

type Family = 'newest' | '5.2'

/** Of each cell, by version: whether it was as expected. */
export type Outcomes = Map<Cell, Partial<Record<Family, boolean>>>

export function familyOf(version: string): Family {
  return version.startsWith('5.2') ? '5.2' : 'newest'
}

/** What was seen, in this run. */
export function asTable(outcomes: Outcomes): string {
  const rows = [...outcomes].map(([{ direction, what }, { newest, '5.2': old }]) =>
    [direction.padEnd(20), what.padEnd(42), sign(newest), sign(old)].join('  '),
  )
  return ['', `${'direction'.padEnd(20)}  ${'cell'.padEnd(42)}  newest  5.2`, ...rows, ''].join('\n')
}

function sign(isRight: boolean | undefined): string {
  return (isRight === undefined ? '–' : isRight ? 'ok' : 'NO').padEnd(6)
}

const directions: readonly Direction[] = ['Python → TypeScript', 'TypeScript → Python']

/** What the tests hold every version to. */
export function asPage(cells: readonly Cell[]): string {
  const rows = [...new Set(cells.map(({ what }) => what))].map(what => {
    const [there, back] = directions.map(direction =>
      cells.find(cell => cell.what === what && cell.direction === direction),
    )
    return `| ${what} | ${mark(there)} | ${mark(back)} | ${oldMark(there, back)} |`
  })
  return [
    head(cells.length),
    '| | Python → TypeScript | TypeScript → Python | Celery 5.2 |',
    '|---|---|---|---|',
    ...rows,
    foot,
  ].join('\n')
}

function mark(cell: Cell | undefined): string {
  return cell === undefined ? '' : 'yes'
}

function oldMark(...both: readonly (Cell | undefined)[]): string {
  const reasons = new Set(both.flatMap(cell => cell?.older?.because ?? []))
  return reasons.size === 0 ? 'the same' : [...reasons].join('; ')
}

function head(count: number): string {
  return `# What crosses the languages

Written by the tests in [packages/lovage/test/interop/celery](../packages/lovage/test/interop/celery), from what they hold every version to: ${count} cells, each a call between stock Celery and Lovage over one RabbitMQ, results by \`rpc://\`, once with the newest Celery from pip and once with Debian's 5.2. \`npx vitest run --project interop\` runs them and prints what was seen.

In *Python → TypeScript* a stock Celery client calls a Lovage worker; in *TypeScript → Python* an app of ours calls a stock Celery worker. An empty field has no cell: workflows are composed in Python only, for now, and what a message may be made of is a matter of who receives it. "Refused" is told to whoever waits for the result, with the remedy.
`
}

const foot = `
What a value becomes on the other side is in [the record on JSON](decisions/0003-what-json-becomes.md); how to set both sides up, in [Beside Celery](celery.md).
`

/** What the tutorial's pages show and are told, noted down, and what of it is a step back. */
import type { BrowserContext, Page } from 'playwright-core'
import { spread } from '../../faults/support/until.ts'
import { openPage, submit } from './tutorial.ts'

/** What was seen of one task at one place, in order: `PENDING`, `PROGRESS 20`, … */
type Seen = readonly string[]

// ── The pages ──────────────────────────────────────────────────────────────────────────────────────

export async function openPages(contexts: readonly BrowserContext[], url: string): Promise<readonly Page[]> {
  const open = contexts.flatMap(context => ['', 'classic/'].map(path => openPage(context, url + path)))
  const pages = (await Promise.all(open)).map(({ page }) => page)
  for (const page of pages) await page.evaluate(watch)
  return pages
}

/** Sends this page's share and waits until all of it has ended, on the page. */
export async function runTasks(
  page: Page,
  { index, count }: { readonly index: number; readonly count: number },
): Promise<void> {
  for (let task = 0; task < count; task++) await submit(page, String(3 + ((index + task) % 4)))
  await page.waitForFunction(
    wanted =>
      document.querySelectorAll('#tasks tbody tr').length === wanted && (globalThis as unknown as Watch).areDone(),
    count,
    { timeout: 60_000 },
  )
}

export interface Watch {
  /** By place and task: `shown <id>`, `asked <id>`. */
  readonly seen: Readonly<Record<string, readonly string[]>>
  /** Bars that fell without a word. */
  readonly unexplained: readonly string[]
  areDone(): boolean
}

/** In the page: notes what every row shows each 25 ms, and what the server says of its task when asked without pause. */
function watch(): void {
  const seen: Record<string, string[]> = {}
  const unexplained: string[] = []
  const isReady = (text: string | undefined): boolean =>
    /^(SUCCESS|FAILURE|REVOKED|Done|Failed|Cancelled)/.test(text ?? '')
  const note = (key: string, text: string): void => void (seen[key] ??= []).push(text)
  Object.assign(globalThis, { seen, unexplained, areDone })

  setInterval(() => {
    for (const row of document.querySelectorAll<HTMLElement>('#tasks tbody tr')) look(row)
  }, 25)

  function look(row: HTMLElement): void {
    const task = row.querySelector('lovage-task')
    const id = row.dataset['id'] ?? task?.getAttribute('handle') ?? ''
    const state = (row.querySelector('.state, .lovage-state')?.textContent ?? '').trim()
    if (id === '' || state === '') return
    if (seen[`shown ${id}`] === undefined) void ask(id)
    const percent = parseInt((row.querySelector('.progression, .lovage-percent')?.textContent ?? '') || 'NaN')
    const before = Number(seen[`shown ${id}`]?.at(-1)?.split(' ')[1])
    const note_ = row.querySelector('.lovage-note')?.textContent ?? ''
    if (task !== null && percent < before && !note_.includes('started again'))
      unexplained.push(`${id}: ${before} → ${percent}`)
    note(`shown ${id}`, Number.isNaN(percent) ? state : `${state} ${percent}`)
  }

  async function ask(id: string): Promise<void> {
    let last = ''
    while (!isReady(last)) {
      const response = await fetch(`/task-status/${id}/`)
      if (!response.ok) {
        note(`asked ${id}`, String(response.status))
        continue
      }
      const { state, progression } = (await response.json()) as { state: string; progression: number | 'None' }
      last = progression === 'None' ? state : `${state} ${Math.floor(progression)}`
      note(`asked ${id}`, last)
    }
  }

  function areDone(): boolean {
    return Object.keys(seen).length > 0 && Object.values(seen).every(each => isReady(each.at(-1)))
  }
}

export async function rowsAt(pages: readonly Page[], pattern: RegExp): Promise<number> {
  return (await observations(pages)).filter(each => pattern.test(each.at(-1) ?? '')).length
}

export async function observations(pages: readonly Page[]): Promise<readonly Seen[]> {
  const found = await Promise.all(pages.map(page => page.evaluate(() => (globalThis as unknown as Watch).seen)))
  return found.flatMap(each => Object.values(each))
}

// ── What counts as a step back ─────────────────────────────────────────────────────────────────────

/** The states, and the words of the element for them. */
const ranks: Readonly<Record<string, number>> = {
  'Connecting…': 0,
  Waiting: 0,
  PENDING: 0,
  RECEIVED: 1,
  STARTED: 2,
  Running: 3,
  PROGRESS: 3,
}

export function stepsBack(seen: Seen): readonly string[] {
  return seen.flatMap((text, index) => {
    const before = seen[index - 1]
    return before !== undefined && isBehind(text, before) ? [`${before} → ${text}`] : []
  })
}

/** Behind, or what must never be seen at all: an id that is not known, an end that is followed by anything else. */
function isBehind(text: string, before: string): boolean {
  if (/^\d/.test(text)) return true
  const [state = '', percent = '0'] = text.split(' ')
  const [stateBefore = '', percentBefore = '0'] = before.split(' ')
  const [rank, rankBefore] = [ranks[state] ?? 9, ranks[stateBefore] ?? 9]
  if (rankBefore === 9) return text !== before
  return rank < rankBefore || (rank === rankBefore && Number(percent) < Number(percentBefore))
}

export function count(seen: readonly Seen[]): number {
  return seen.reduce((sum, { length }) => sum + length, 0)
}

export function report(what: string, seen: readonly Seen[]): void {
  const { median } = spread(seen.map(({ length }) => length))
  const back = seen.flatMap(each => stepsBack(each))
  console.log(
    `${what}: ${count(seen)} observations of ${seen.length} rows (median ${median}), steps back: ${back.length}`,
  )
  if (back.length > 0) console.log([...new Set(back)].slice(0, 10).join('\n'))
}

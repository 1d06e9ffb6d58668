/**
 * What the tutorial's pages suffered from: PENDING, PROGRESS, PENDING, PROGRESS. Two web processes behind one address
 * that sends each request to the other one, two browsers, the live page and the polling one; every answer and everything
 * shown is looked at.
 */
import type { BrowserContext, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { isLong, spread, until } from '../faults/support/until.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { alternate, openPage, submit, Tutorial } from './support/tutorial.ts'

/** What was seen of one task at one place, in order: `PENDING`, `PROGRESS 20`, … */
type Seen = readonly string[]

const perPage = 5
const rounds = isLong ? 3 : 1

describe.runIf(hasChromium)('no row ever steps back', () => {
  const openContext = useBrowser()

  test('behind two web processes, in two browsers, live and polled', { timeout: 60_000 * rounds }, async () => {
    for (let round = 0; round < rounds; round++) {
      const tutorial = new Tutorial()
      const [one, other] = await Promise.all([tutorial.web(), tutorial.web(), tutorial.worker(8)])
      const url = await alternate([one.port, other.port])
      const pages = await openPages([await openContext(), await openContext()], url)
      await Promise.all(pages.map((page, index) => runTasks(page, index)))
      const seen = await observations(pages)
      report('two web processes', seen)
      expect(count(seen)).toBeGreaterThanOrEqual(5000)
      for (const each of seen) expect(stepsBack(each)).toEqual([])
      expect(seen.length).toBe(perPage * pages.length * 2)
    }
  })

  test(
    'when the worker is killed in mid-run, except to begin again, and then says so',
    { timeout: 120_000 },
    async () => {
      const tutorial = new Tutorial()
      const [one, other, worker] = await Promise.all([tutorial.web(), tutorial.web(), tutorial.worker(20)])
      const url = await alternate([one.port, other.port])
      const pages = await openPages([await openContext(), await openContext()], url)
      const ended = Promise.all(pages.map((page, index) => runTasks(page, index)))
      await until(
        'all tasks run, some for a while',
        async () => (await rowsAt(pages, /(PROGRESS|Running) [2-9]\d/)) >= 4,
      )
      worker.kill('SIGKILL')
      await worker.ended
      await tutorial.worker(20)
      await ended
      const seen = await observations(pages)
      report('the worker killed', seen)
      expect(count(seen)).toBeGreaterThanOrEqual(5000)
      const falls = seen.map(each => stepsBack(each))
      // one begins again once: from where it was to an earlier percentage, never to PENDING and never from an end
      for (const fall of falls) {
        expect(fall.length).toBeLessThanOrEqual(1)
        expect(fall.filter(step => /→ (PENDING|Waiting)|^(SUCCESS|FAILURE|REVOKED|Done|Failed)/.test(step))).toEqual([])
      }
      expect(falls.flat().length).toBeGreaterThan(0)
      const live = pages.filter(page => !page.url().endsWith('/classic/'))
      for (const page of live)
        expect(await page.evaluate(() => (globalThis as unknown as Watch).unexplained)).toEqual([])
    },
  )
})

// ── The pages ──────────────────────────────────────────────────────────────────────────────────────

async function openPages(contexts: readonly BrowserContext[], url: string): Promise<readonly Page[]> {
  const open = contexts.flatMap(context => ['', 'classic/'].map(path => openPage(context, url + path)))
  const pages = (await Promise.all(open)).map(({ page }) => page)
  for (const page of pages) await page.evaluate(watch)
  return pages
}

/** Sends this page's share and waits until all of it has ended, on the page. */
async function runTasks(page: Page, index: number): Promise<void> {
  for (let task = 0; task < perPage; task++) await submit(page, String(3 + ((index + task) % 4)))
  await page.waitForFunction(
    wanted =>
      document.querySelectorAll('#tasks tbody tr').length === wanted && (globalThis as unknown as Watch).areDone(),
    perPage,
    { timeout: 60_000 },
  )
}

interface Watch {
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

async function rowsAt(pages: readonly Page[], pattern: RegExp): Promise<number> {
  return (await observations(pages)).filter(each => pattern.test(each.at(-1) ?? '')).length
}

async function observations(pages: readonly Page[]): Promise<readonly Seen[]> {
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

function stepsBack(seen: Seen): readonly string[] {
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

function count(seen: readonly Seen[]): number {
  return seen.reduce((sum, { length }) => sum + length, 0)
}

function report(what: string, seen: readonly Seen[]): void {
  const { median } = spread(seen.map(({ length }) => length))
  const back = seen.flatMap(each => stepsBack(each))
  console.log(
    `${what}: ${count(seen)} observations of ${seen.length} rows (median ${median}), steps back: ${back.length}`,
  )
  if (back.length > 0) console.log([...new Set(back)].slice(0, 10).join('\n'))
}

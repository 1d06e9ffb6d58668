import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { describe, expect, it, vi } from 'vitest'
import type {} from '../../src/web/client/index.ts'
import { hasChromium } from './support/chromium.ts'
import { useStage } from './support/pages.ts'

const can = ['read', 'result', 'revoke'] as const
const running = (
  percent: number,
): { state: string; progress: { current: number; total: number; percent: number } } => ({
  state: 'PROGRESS',
  progress: { current: percent, total: 100, percent },
})
const task = '<lovage-task handle="one" label="Export"><a href="/status">status</a></lovage-task>'

const text = (page: Page, part: string): Promise<string | null> => page.locator(`.lovage-${part}`).first().textContent()

describe.runIf(hasChromium)('the elements', () => {
  const stage = useStage()

  it('show a task, move with it and end with it, under a strict policy and without a complaint', async () => {
    const { server, open, complaints } = stage()
    server.set('one', { state: 'PENDING', queue: { workers: 0 } })
    const page = await open(task)
    await page.getByText('Waiting for a worker. None is running right now.', { exact: true }).waitFor()
    for (const percent of [10, 40, 80]) {
      server.set('one', running(percent))
      await page.getByText(`${String(percent)}%`, { exact: true }).waitFor()
      await expectWidth(page, percent)
    }
    server.set('one', { state: 'SUCCESS', result: 1 })
    await page.locator('lovage-task[state=SUCCESS][link=closed]').waitFor()
    await page.getByText('Done', { exact: true }).waitFor()
    expect(await page.locator('a').count()).toBe(0)
    await vi.waitFor(() => expect(server.streams.open).toBe(0))
    expect(complaints).toEqual([])
  })

  it('tell the page by events that bubble, the end once', async () => {
    const { server, open } = stage()
    server.set('one', running(5))
    const page = await open('<div id="around"></div>')
    await page.evaluate(() => {
      const seen: string[] = []
      Object.assign(globalThis, { seen })
      const around = document.querySelector('#around') as HTMLElement
      around.addEventListener('lovage-update', event => seen.push(event.detail.state))
      around.addEventListener('lovage-ready', event => seen.push(`ready ${event.detail.state}`))
      const element = document.createElement('lovage-task')
      element.handle = 'one'
      around.append(element)
    })
    await page.getByText('5%', { exact: true }).waitFor()
    server.set('one', { state: 'SUCCESS', result: 1 })
    await page.getByText('Done', { exact: true }).waitFor()
    server.set('one', running(50))
    expect(await page.evaluate('seen')).toEqual(['PROGRESS', 'SUCCESS', 'ready SUCCESS'])
  })

  it('keep children that are to be kept, take what a script set before them, and follow another handle', async () => {
    const { server, open } = stage()
    server.set('one', running(5))
    server.set('two', running(70))
    const page = await open('<lovage-task handle="one"><b>gone</b><i data-keep>kept</i></lovage-task>')
    await page.getByText('5%', { exact: true }).waitFor()
    expect(await page.locator('lovage-task i').count()).toBe(1)
    expect(await page.locator('lovage-task b').count()).toBe(0)
    await page.evaluate(() => {
      const element = document.querySelector('lovage-task') as HTMLElement & { handle: string; label: string }
      element.handle = 'two'
      element.label = 'Second'
    })
    await page.getByText('70%', { exact: true }).waitFor()
    expect(await text(page, 'title')).toBe('Second')
  })

  it('show at once what a server has just accepted', async () => {
    const page = await stage().open('<lovage-task handle="new" state="PENDING"></lovage-task>')
    expect(await text(page, 'state')).toBe('Waiting')
  })

  it('list the tasks of a handle in a table, the newest first, and those that come later', async () => {
    const { server, open, complaints } = stage()
    server.lists.set('owner:ann', ['a', 'b'])
    server.set('a', { ...running(30), title: 'First', queuedAt: '2026-11-22T10:00:00Z' })
    server.set('b', { state: 'SUCCESS', title: 'Second', queuedAt: '2026-11-22T11:00:00Z' })
    const page = await open('<lovage-tasks handle="owner:ann" label="Your tasks"></lovage-tasks>')
    await page.getByRole('table', { name: 'Your tasks' }).waitFor()
    await page.getByRole('rowheader', { name: 'Second' }).waitFor()
    server.lists.set('owner:ann', ['a', 'b', 'c'])
    server.set('c', { state: 'PENDING', title: 'Third', queuedAt: '2026-11-22T12:00:00Z' })
    await page.getByRole('rowheader', { name: 'Third' }).waitFor()
    expect(await page.locator('.lovage-title').allTextContents()).toEqual(['Third', 'Second', 'First'])
    expect(complaints).toEqual([])
  })

  it('say so when there is nothing to show', async () => {
    const { server, open } = stage()
    server.lists.set('owner:nobody', [])
    server.setGone('nope', 'unknown')
    const page = await open(
      '<lovage-tasks handle="owner:nobody"></lovage-tasks><lovage-task handle="nope"></lovage-task>',
    )
    await page.getByText('No tasks yet.', { exact: true }).waitFor()
    await page.getByText('This task does not exist or has expired.', { exact: true }).waitFor()
    expect(await page.locator('lovage-task').getAttribute('link')).toBe('gone')
  })

  it('tell a failure with its reference, also aloud, but not one that was there before', async () => {
    const { server, open } = stage()
    const error = { message: 'No video in it.', reference: '7F3A-91C2', retryable: false }
    server.set('old', { state: 'FAILURE', error })
    server.set('one', running(5))
    const page = await open(`${task}<lovage-task handle="old" label="Old"></lovage-task>`)
    await page.getByText('5%', { exact: true }).waitFor()
    server.set('one', { state: 'FAILURE', error })
    await page.getByRole('alert').getByText('Export: Failed, No video in it.').waitFor()
    expect(await page.getByText('Reference 7F3A-91C2').count()).toBe(2)
    expect(await page.getByRole('alert').textContent()).not.toContain('Old')
  })

  it('say aloud where a task stands, ten seconds apart', async () => {
    const { server, open } = stage()
    server.set('one', { state: 'PENDING' })
    const page = await open('')
    await page.clock.install()
    await page.evaluate(() =>
      document.body.insertAdjacentHTML('beforeend', '<lovage-task handle="one" label="Export">'),
    )
    const status = page.getByRole('status')
    const report = async (percent: number): Promise<void> => {
      server.set('one', running(percent))
      await page.clock.runFor(100)
      await vi.waitFor(async () => {
        await page.clock.runFor(50)
        expect(await text(page, 'percent')).toBe(`${String(percent)}%`)
      })
    }
    await vi.waitFor(async () => {
      await page.clock.runFor(50)
      expect(await text(page, 'state')).toBe('Waiting')
    })
    await report(1)
    await page.clock.runFor(300)
    expect(await status.textContent()).toBe('Export: 1%, 1 of 100')
    await report(30)
    await report(60)
    await page.clock.runFor(5_000)
    expect(await status.textContent()).toBe('Export: 1%, 1 of 100')
    await page.clock.runFor(5_000)
    expect(await status.textContent()).toBe('Export: 60%, 60 of 100')
  })

  it('cancel by keyboard alone, and say how that ended', async () => {
    const { server, open } = stage()
    server.set('one', { ...running(20), can })
    server.set('two', { ...running(20), can })
    server.onRevoke = id => id === 'one' && server.set('one', { state: 'REVOKED', reason: 'revoked' })
    const page = await open(`${task}<lovage-task handle="two" label="Import"></lovage-task>`)
    await page.getByRole('button', { name: 'Cancel Import' }).waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.ariaLabel)).toBe('Cancel Export')
    await page.keyboard.press('Enter')
    await page.locator('lovage-task[state=REVOKED]').getByText('Cancelled').waitFor()
    // the button is gone, and the focus is still where it was
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Export')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Space')
    await page.getByText('Cancelling…', { exact: true }).waitFor()
    server.set('two', { state: 'SUCCESS' })
    await page.getByText('Finished before it could be cancelled.', { exact: true }).waitFor()
  })

  it('offer to cancel only where the handle allows it', async () => {
    const { server, open } = stage()
    server.set('one', running(20))
    const page = await open(task)
    await page.getByText('20%', { exact: true }).waitFor()
    expect(await page.getByRole('button').count()).toBe(0)
  })

  it('are read as a progress bar with a name, a figure only where there is one, and the whole in words', async () => {
    const { server, open } = stage()
    server.set('one', { state: 'STARTED' })
    const page = await open(task)
    const bar = page.getByRole('progressbar', { name: 'Export' })
    await page.getByText('Running', { exact: true }).waitFor()
    expect(await bar.getAttribute('aria-valuenow')).toBeNull()
    server.set('one', running(42))
    await page.getByText('42%', { exact: true }).waitFor()
    expect(await bar.getAttribute('aria-valuenow')).toBe('42')
    expect(await bar.getAttribute('aria-valuetext')).toBe('42%, 42 of 100')
    expect(await bar.getByRole('button').count()).toBe(0)
  })

  it.each([
    ['light', 'no-preference'],
    ['dark', 'no-preference'],
    ['dark', 'active'],
  ] as const)('have nothing that axe minds (%s, forced colours: %s)', async (colorScheme, forced) => {
    const { server, open, openContext } = stage()
    const context = await openContext({
      colorScheme,
      forcedColors: forced === 'active' ? 'active' : 'none',
      bypassCSP: true,
    })
    const states = {
      a: { ...running(42), can, title: 'Running' },
      b: { state: 'STARTED', can, title: 'Moving' },
      c: { state: 'PENDING', queue: { workers: 0 }, title: 'Waiting' },
      d: { state: 'SUCCESS', title: 'Done' },
      e: { state: 'FAILURE', title: 'Failed', error: { message: 'No.', reference: '1', retryable: true } },
      f: { state: 'REVOKED', title: 'Cancelled' },
      g: {
        state: 'RETRY',
        title: 'Retrying',
        error: { message: 'No.', reference: '1', retryable: true },
        retryAt: '2026-11-22T10:00:00Z',
      },
    } as const
    for (const [id, parts] of Object.entries(states)) server.set(id, parts)
    server.lists.set('owner:ann', Object.keys(states))
    const elements = Object.keys(states).map(id => `<lovage-task handle="${id}"></lovage-task>`)
    const page = await open(`${elements.join('')}<lovage-tasks handle="owner:ann"></lovage-tasks>`, context)
    await page.getByRole('rowheader', { name: 'Retrying' }).waitFor()
    // axe takes a page without a background for a white one
    await page.addStyleTag({ content: 'body { background: Canvas }' })
    await page.addScriptTag({ content: axe.source })
    const violations = await page.evaluate(
      'axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => [id, impact, nodes[0].html]))',
    )
    expect(violations).toEqual([])
  })

  it('stand still for those who want it so', async () => {
    const { server, open, openContext } = stage()
    server.set('one', { state: 'STARTED' })
    const context = await openContext({ reducedMotion: 'reduce' })
    const page = await open(task, context)
    await page.getByText('Running', { exact: true }).waitFor()
    const still = await page.locator('.lovage-fill').evaluate(fill => getComputedStyle(fill).animationName)
    expect(still).toBe('none')
  })

  it('mirror themselves where a page is read from right to left', async () => {
    const { server, open } = stage()
    server.set('one', running(20))
    const page = await open(`<div dir="rtl">${task}</div>`)
    await page.getByText('20%', { exact: true }).waitFor()
    const [bar, fill] = await Promise.all(['bar', 'fill'].map(part => page.locator(`.lovage-${part}`).boundingBox()))
    expect((fill?.x ?? 0) + (fill?.width ?? 0)).toBeCloseTo((bar?.x ?? 0) + (bar?.width ?? 0), 0)
  })

  it('have targets of 24 by 24 at least', async () => {
    const { server, open } = stage()
    server.set('one', { ...running(20), can })
    const page = await open(task)
    const box = await page.getByRole('button').boundingBox()
    expect(Math.min(box?.width ?? 0, box?.height ?? 0)).toBeGreaterThanOrEqual(24)
  })

  it('show what is HTML or script as text, in every field', async () => {
    const { server, open, openContext, complaints } = stage()
    const context = await openContext({ bypassCSP: true })
    const corpus = [
      '<img src=x onerror=hacked()>',
      '<script>hacked()</script>',
      '"><svg onload=hacked()>',
      'javascript:hacked()',
      "'-hacked()-'",
      '{title}{constructor}',
      '<iframe srcdoc="<script>parent.hacked()</script>">',
      '</td></table><details open ontoggle=hacked()>',
      '\u202Ehacked()\u0000',
    ]
    const body: string[] = []
    for (const [index, evil] of corpus.entries()) {
      const error = { message: evil, reference: evil, retryable: true }
      const progress = { current: 1, total: 2, percent: 50, message: evil, phase: evil, unit: evil }
      const states = ['PROGRESS', 'FAILURE', 'RETRY', 'REVOKED', 'SUCCESS', evil]
      for (const [place, state] of states.entries()) {
        const id = `${String(index)}-${String(place)}`
        const fields = {
          title: evil,
          name: evil,
          progress,
          error,
          result: evil,
          meta: evil,
          reason: evil,
          retryAt: evil,
          queuedAt: evil,
        }
        server.set(id, { state, ...fields, can })
        server.lists.set('owner:all', [...(server.lists.get('owner:all') ?? []), id])
        body.push(`<lovage-task handle="${id}"></lovage-task>`)
      }
    }
    const page = await open(`${body.join('')}<lovage-tasks handle="owner:all"></lovage-tasks>`, context)
    await page.evaluate('globalThis.hacked = () => { globalThis.wasHacked = true }')
    await vi.waitFor(async () => expect(await page.locator('tbody tr').count()).toBe(corpus.length * 6))
    await page.getByText('<img src=x onerror=hacked()>').first().waitFor()
    expect(await page.locator('main :is(img,script,iframe,details,[onload],[onerror])').count()).toBe(0)
    expect(await page.evaluate('globalThis.wasHacked')).toBeUndefined()
    expect(complaints).toEqual([])
  })
})

async function expectWidth(page: Page, percent: number): Promise<void> {
  const width = (part: string): Promise<number> =>
    page.locator(`.lovage-${part}`).evaluate(element => element.getBoundingClientRect().width)
  await vi.waitFor(async () => expect((100 * (await width('fill'))) / (await width('bar'))).toBeCloseTo(percent, 0))
}

import type { BrowserContext, Page } from 'playwright-core'
import { describe, expect, it, vi } from 'vitest'
import { hasChromium } from './support/chromium.ts'
import { useStage } from './support/pages.ts'

const one = '<lovage-task handle="one" label="Export"></lovage-task>'
const two = '<lovage-task handle="two" label="Import"></lovage-task>'

function running(percent: number): { state: string; progress: { current: number; total: number; percent: number } } {
  return { state: 'PROGRESS', progress: { current: percent, total: 100, percent } }
}

const shows = (page: Page, percent: number, nth = 0): Promise<void> =>
  page
    .locator('lovage-task')
    .nth(nth)
    .getByText(`${String(percent)}%`)
    .waitFor()

describe.runIf(hasChromium)('the connection', () => {
  const stage = useStage()

  it('is one stream for all elements of a page, and grows with it without a gap', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    server.set('two', running(20))
    const page = await open(one + one + two)
    await shows(page, 20, 2)
    expect(server.streams).toEqual({ open: 1, opened: 1 })
    server.set('three', running(30))
    await page.evaluate(() =>
      document.body.append(Object.assign(document.createElement('lovage-task'), { handle: 'three' })),
    )
    await shows(page, 30, 3)
    await vi.waitFor(() => expect(server.streams).toEqual({ open: 1, opened: 2 }))
    server.set('one', running(11))
    await shows(page, 11)
  })

  it('is one stream for all tabs; another tab takes over when the leader closes', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    server.set('two', running(20))
    const first = await open(one)
    await shows(first, 10)
    const second = await open(two)
    await shows(second, 20)
    // one that shows what another tab has shown for long, and what none had
    const third = await open(one + two)
    await shows(third, 10)
    await shows(third, 20, 1)
    await vi.waitFor(() => expect(server.streams.open).toBe(1))
    server.set('one', running(15))
    server.set('two', running(25))
    await Promise.all([shows(first, 15), shows(second, 25), shows(third, 15), shows(third, 25, 1)])

    await first.close()
    server.set('two', running(30))
    await Promise.all([shows(second, 30), shows(third, 30, 1)])
    await vi.waitFor(() => expect(server.streams.open).toBe(1))
    expect(await second.locator('lovage-task').getAttribute('link')).toBe('live')
  })

  it('is taken from a leader that sleeps', async () => {
    const { server, open, context } = stage()
    server.set('one', running(10))
    const sleeper = await open(one)
    await shows(sleeper, 10)
    await fall(context, sleeper)
    const page = await open(one)
    await shows(page, 10)
    server.set('one', running(20))
    await shows(page, 20)
    expect(await page.locator('lovage-task').getAttribute('link')).toBe('live')
  }, 15_000)

  it.each([
    ['Web Locks', () => Object.defineProperty(navigator, 'locks', { value: undefined })],
    ['BroadcastChannel', () => Reflect.deleteProperty(globalThis, 'BroadcastChannel')],
  ])('is a stream for each of two tabs without %s, and polling for the third', async (_name, take) => {
    const { server, open, context } = stage()
    await context.addInitScript(take)
    server.set('one', running(10))
    const pages = [await open(one), await open(one)]
    for (const page of pages) await shows(page, 10)
    expect(server.streams.open).toBe(2)
    const third = await open(one)
    await shows(third, 10)
    expect(server.streams.opened).toBe(2)
    expect(await third.locator('lovage-task').getAttribute('link')).toBe('polling')
    server.set('one', running(20))
    await Promise.all([...pages, third].map(page => shows(page, 20)))
    // its place is free again
    await pages[0]?.close()
    await third.evaluate(() => dispatchEvent(new Event('online')))
    await vi.waitFor(() => expect(server.streams.opened).toBe(3))
  })

  it('comes back by itself within three seconds of a restart, and says meanwhile since when it is blind', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    const page = await open(one)
    await shows(page, 10)
    await server.stop()
    await page.getByText(/Reconnecting… last update \d+:\d\d:\d\d/).waitFor()
    expect(await page.locator('.lovage-percent').textContent()).toBe('10%')
    await server.start()
    const startedAt = performance.now()
    server.set('one', running(40))
    await shows(page, 40)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    await page.locator('lovage-task[link=live]').waitFor()
    expect(await page.getByText('Reconnecting').count()).toBe(0)
  })

  it('is dead after forty seconds of silence, and opened anew', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    const page = await open('')
    await page.clock.install()
    await addTask(page)
    await settle(page, () => expect(server.streams.opened).toBe(1))
    await page.clock.runFor(39_000)
    expect(server.streams.opened).toBe(1)
    await page.clock.runFor(3_000)
    await settle(page, () => expect(server.streams).toEqual({ open: 1, opened: 2 }))
  })

  it('asks instead when streams open and nothing comes through', async () => {
    const { server, open } = stage()
    server.mode = 'mute'
    server.set('one', running(10))
    const page = await open('')
    await page.clock.install()
    await addTask(page)
    await settle(page, () => expect(server.streams.opened).toBe(1))
    await page.clock.runFor(9_000)
    await settle(page, () => expect(server.streams.opened).toBe(2))
    await page.clock.runFor(9_000)
    await settle(page, async () => expect(await page.locator('.lovage-percent').textContent()).toBe('10%'))
    server.set('one', running(20))
    await settle(page, async () => expect(await page.locator('.lovage-percent').textContent()).toBe('20%'))
    expect(await page.locator('lovage-task').getAttribute('link')).toBe('polling')
  })

  it('says what was refused, and goes on with the rest', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    const page = await open(one)
    await shows(page, 10)
    server.refused = 404
    await page.evaluate(() =>
      document.body.append(Object.assign(document.createElement('lovage-task'), { handle: 'two' })),
    )
    await page.locator('lovage-task[link=gone]').waitFor()
    server.set('one', running(20))
    await shows(page, 20)
    server.refused = 0
    server.set('three', running(30))
    await page.evaluate(() =>
      document.body.append(Object.assign(document.createElement('lovage-task'), { handle: 'three' })),
    )
    await shows(page, 30, 2)
    expect(await page.locator('lovage-task[link=gone]').count()).toBe(1)
  })

  it('uses a renewed handle from then on, asks for a new one where it has expired', async () => {
    const { server, open } = stage()
    server.lists.set('first', ['one']).set('renewed', ['one']).set('given', ['one'])
    server.set('one', running(10))
    server.setGone('old', 'expired')
    server.pages['/own.js'] = `import { createTaskClient } from '/tasks/lovage.js'
      globalThis.seen = []
      const client = createTaskClient({ getHandle: async expired => (expired === 'old' ? 'given' : undefined) })
      for (const handle of ['first', 'old']) client.subscribe(handle, ({ progress }) => seen.push(progress.percent))`
    const page = await open('<script type="module" src="/own.js"></script>')
    await vi.waitFor(async () => expect(await page.evaluate('seen')).toEqual([10, 10]))
    server.renew('first', 'renewed')
    server.set('one', running(20))
    await vi.waitFor(async () => expect(await page.evaluate('seen')).toEqual([10, 10, 20, 20]))
    await server.stop()
    await server.start()
    await vi.waitFor(() => expect(server.lastHandles).toEqual(['renewed', 'given']), { timeout: 4_000 })
  })

  it('tries at once when the network or the page comes back', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    const page = await open('')
    await page.clock.install()
    await addTask(page)
    await settle(page, () => expect(server.streams.open).toBe(1))
    await server.stop()
    // after these tries the next one is far away
    for (let tries = 0; tries < 12; tries += 1) await page.clock.runFor(10_000)
    await server.start()
    await page.evaluate(() => dispatchEvent(new Event('online')))
    await settle(page, () => expect(server.streams.open).toBe(1))
  })

  it('survives the back/forward cache', async () => {
    const { server, open } = stage()
    server.set('one', running(10))
    const page = await open(one)
    await shows(page, 10)
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })))
    await vi.waitFor(() => expect(server.streams.open).toBe(0))
    server.set('one', running(30))
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })))
    await shows(page, 30)
  })
})

/** As a system does with a tab in the background: it keeps its lock and runs no more script. */
async function fall(context: BrowserContext, page: Page): Promise<void> {
  const session = await context.newCDPSession(page)
  await session.send('Debugger.enable')
  await session.send('Debugger.pause')
  void page.evaluate('1').catch(() => undefined)
}

async function addTask(page: Page): Promise<void> {
  await page.evaluate(() =>
    document.body.append(Object.assign(document.createElement('lovage-task'), { handle: 'one' })),
  )
}

/** Lets the page's own clock go on while waiting for what the network does in real time. */
async function settle(page: Page, check: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(
    async () => {
      await page.clock.runFor(20)
      await check()
    },
    { timeout: 4_000 },
  )
}

import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { createElement, type ReactNode } from 'react'
import { renderToString } from 'react-dom/server'
import { describe, expect, it, vi } from 'vitest'
import { TaskProvider, useTask, useTasks } from '../../src/react/index.ts'
import { hasChromium } from './support/chromium.ts'
import { useStage } from './support/pages.ts'

describe('the React hook on a server', () => {
  it('renders what a page shows before anything is known', () => {
    function Row(): ReactNode {
      const { snapshot, link } = useTask('one')
      const none = useTask(null)
      return `${String(snapshot?.state)} ${link} ${none.link} ${String(useTasks(['a', 'b']).length)}`
    }
    const page = createElement(TaskProvider, { basePath: '/x', children: createElement(Row) })
    expect(renderToString(page)).toBe('undefined connecting connecting 2')
  })
})

describe.runIf(hasChromium)('the React hook in a browser', () => {
  const stage = useStage()

  it('takes over what the server rendered, follows, revokes, and lets go', async () => {
    const { server, open, complaints } = stage()
    server.set('one', { state: 'PROGRESS', progress: { current: 1, total: 10, percent: 10 } })
    server.set('two', { state: 'SUCCESS', result: 7 })
    server.onRevoke = id => server.set(id, { state: 'REVOKED', reason: 'revoked' })
    server.pages['/app.js'] = await bundle()
    const page = await open('<div id="app"></div><script type="module" src="/app.js"></script>')
    await page.getByText('one PROGRESS 10 live; two SUCCESS closed').waitFor()
    server.set('one', { state: 'PROGRESS', progress: { current: 5, total: 10, percent: 50 } })
    await page.getByText('one PROGRESS 50 live; two SUCCESS closed').waitFor()
    await page.getByRole('button').click()
    await page.getByText('one REVOKED closed; two SUCCESS closed').waitFor()
    await page.evaluate('unmount()')
    await vi.waitFor(() => expect(server.streams.open).toBe(0))
    // one change, one rendering; in strict mode each counts twice
    expect(Number(await page.evaluate('renders'))).toBeLessThanOrEqual(16)
    expect(complaints).toEqual([])
  })
})

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('support/react-app.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"development"' },
  })
  return outputFiles[0]?.text ?? ''
}

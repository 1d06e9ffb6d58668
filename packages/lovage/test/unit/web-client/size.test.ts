import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { browserBundle } from '../../../src/web/browser-bundle.ts'

const size = (code: string): number => gzipSync(code, { level: 9 }).length

describe('the script in a browser', () => {
  it('is one file without imports', async () => {
    const { code, etag } = await browserBundle()
    expect(code).not.toMatch(/\bimport\s*[({"'*]|\bfrom\s*["']/)
    expect(etag).toMatch(/^"[\w-]{22}"$/)
  })

  it('has no more bytes than was promised', async () => {
    const { code } = await browserBundle()
    expect(size(code)).toBeLessThanOrEqual(12_000)
  })

  it('leaves the React hook small', async () => {
    const entry = fileURLToPath(new URL('../../../src/react/index.ts', import.meta.url))
    const external = ['react', '../web/*']
    const { outputFiles } = await build({
      entryPoints: [entry],
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      external,
    })
    expect(size(outputFiles[0]?.text ?? '')).toBeLessThanOrEqual(1_500)
  })
})

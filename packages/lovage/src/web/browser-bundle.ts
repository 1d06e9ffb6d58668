/**
 * The script that the server kit serves. In the repository it is put together on request, so that a page runs what is
 * being edited; in the published package `scripts/build.js` replaces this file by one that holds the finished text, so
 * that neither esbuild nor the file system is needed there.
 */
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'

export interface BrowserBundle {
  readonly code: string
  /** Quoted, as the header wants it. */
  readonly etag: string
}

/** Not kept: the caller does that. */
export async function browserBundle(): Promise<BrowserBundle> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('client/browser.ts', import.meta.url))],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
  })
  const code = outputFiles[0]?.text ?? ''
  const etag = `"${createHash('sha256').update(code).digest('base64url').slice(0, 22)}"`
  return { code, etag }
}

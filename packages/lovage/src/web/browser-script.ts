/** `GET /lovage.js`: the browser client with its elements. With the hash of its text in the query it never changes. */
import { problem } from './answers.ts'
import type { BrowserBundle } from './browser-bundle.ts'
import { matchesEtag } from './requests.ts'

/** One text for all requests; made at the first. */
export class BrowserScript {
  #bundle: Promise<BrowserBundle> | undefined

  async answer(request: Request): Promise<Response> {
    const { code, etag } = await this.#read()
    const version = new URL(request.url).searchParams.get('v')
    const headers = {
      etag,
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': `"${version ?? ''}"` === etag ? 'public, max-age=31536000, immutable' : 'no-cache',
    }
    if (matchesEtag(request, etag)) return new Response(null, { status: 304, headers })
    return code === '' ? problem('not-found', 'The script was not built') : new Response(code, { headers })
  }

  #read(): Promise<BrowserBundle> {
    return (this.#bundle ??= this.#load())
  }

  async #load(): Promise<BrowserBundle> {
    try {
      const { browserBundle } = await import('./browser-bundle.ts')
      return await browserBundle()
    } catch (error) {
      this.#bundle = undefined
      throw error
    }
  }
}

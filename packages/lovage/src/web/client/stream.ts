/**
 * One open stream: `POST /stream` read by fetch, which unlike EventSource carries the handles in the body and tells why
 * it was refused. It ends exactly once, by `onEnd` or by `close()`, never by both.
 */
import type { GoneEvent, HandleEvent, PublicSnapshot, SnapshotEvent } from '../contract.ts'
import { silenceLimitMs } from '../contract.ts'
import { createEventParser, type ServerEvent } from './event-parser.ts'
import type { Host } from './host.ts'

/** What comes of handles, from a stream, from polling or from the tab that leads. */
export interface HandleSink {
  onSnapshot(handle: string, snapshot: PublicSnapshot): void
  onGone(handle: string, reason: GoneEvent['reason']): void
  /** From now on `next` is to be sent in place of `handle`. */
  onRenewed(handle: string, next: string): void
}

/** `lost`: try again. `refused`: an answer that another try will not change. `deaf`: open, yet nothing came through. */
export type StreamEnd =
  | { readonly kind: 'lost'; readonly waitMs?: number }
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'deaf' }

export interface StreamRequestParts {
  readonly url: string
  /** The handles as the page knows them, and as they are sent now. */
  readonly handles: readonly string[]
  readonly tokens: readonly string[]
  readonly after: string | undefined
}

export interface StreamListener {
  /** Something came, be it a comment. */
  onBytes(): void
  /** An event was handed over. @param id the stream's last id, '' before the first */
  onEvent(id: string): void
  onEnd(end: StreamEnd): void
}

/** Asking again does not change these answers. */
export const refusals: readonly number[] = [400, 401, 403, 404, 410, 422]
/** The server's first bytes leave within 50 ms of the request; a proxy that keeps them back this long keeps them all. */
const firstBytesMs = 8_000

export function openStream(
  host: Host,
  parts: StreamRequestParts,
  { sink, listener }: { readonly sink: HandleSink; readonly listener: StreamListener },
): { close(): void } {
  const abort = new AbortController()
  let watchdog = watch({ kind: 'lost' }, silenceLimitMs)
  void read()
  return { close }

  async function read(): Promise<void> {
    try {
      const response = await request()
      if (!response.ok || response.body === null) return end(refusal(response))
      await readBody(response.body)
    } catch {
      // a network that fails and a stream that is cut look alike, and mean the same
    }
    end({ kind: 'lost' })
  }

  function request(): Promise<Response> {
    const body = JSON.stringify({ handles: parts.tokens, after: parts.after })
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
    return host.fetch(parts.url, { method: 'POST', headers, body, cache: 'no-store', signal: abort.signal })
  }

  async function readBody(body: ReadableStream<Uint8Array>): Promise<void> {
    const parse = createEventParser(dispatch)
    const reader = body.getReader()
    watchdog.cancel()
    watchdog = watch({ kind: 'deaf' }, firstBytesMs)
    for (;;) {
      const { done, value } = await reader.read()
      if (done || abort.signal.aborted) return
      watchdog.cancel()
      watchdog = watch({ kind: 'lost' }, silenceLimitMs)
      listener.onBytes()
      parse(value)
    }
  }

  function dispatch({ name, data, id }: ServerEvent): void {
    if (abort.signal.aborted) return
    const value: unknown = JSON.parse(data)
    if (name === 'bye') return end({ kind: 'lost', waitMs: (value as { readonly retryMs: number }).retryMs })
    const { handle: index, ...rest } = value as SnapshotEvent
    const handle = parts.handles[index]
    if (handle === undefined) return
    if (name === 'snapshot') sink.onSnapshot(handle, rest as PublicSnapshot)
    if (name === 'gone') sink.onGone(handle, (value as GoneEvent).reason)
    if (name === 'handle') sink.onRenewed(handle, (value as HandleEvent).next)
    listener.onEvent(id)
  }

  function watch(cause: StreamEnd, ms: number): { cancel(): void } {
    return host.clock.after(ms, () => end(cause))
  }

  function end(cause: StreamEnd): void {
    if (abort.signal.aborted) return
    close()
    listener.onEnd(cause)
  }

  function close(): void {
    watchdog.cancel()
    abort.abort()
  }
}

function refusal({ status, headers }: Response): StreamEnd {
  if (refusals.includes(status)) return { kind: 'refused', status }
  return { kind: 'lost', waitMs: Number(headers.get('retry-after') ?? 0) * 1000 }
}

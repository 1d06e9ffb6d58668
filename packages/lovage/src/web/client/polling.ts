/**
 * Asks task by task where no stream may be had: a single one by long-poll, which answers at the next change; several in
 * turn, with a pause, so that a browser's six connections are not all spent on waiting.
 */
import type { GoneReason, PublicSnapshot } from '../contract.ts'
import { longestWaitS } from '../contract.ts'
import { reconnectDelayMs } from './backoff.ts'
import { authorization, isList, subjectOf } from './handles.ts'
import type { Host } from './host.ts'
import { type HandleSink, openStream, refusals } from './stream.ts'

const pauseMs = 2_000
/** Nobody looks. */
const hiddenPauseMs = 30_000
/** A list is read from a stream that is closed again: this long is plenty for the snapshots it begins with. */
const sipMs = 1_000

export interface PollingOptions {
  readonly basePath: string
  readonly tokenOf: (handle: string) => string
  readonly handles: readonly string[]
}

/** Begins at once, goes on until `stop()`. */
export function startPolling(host: Host, options: PollingOptions, sink: HandleSink): { stop(): void } {
  const abort = new AbortController()
  const etags = new Map<string, string>()
  const canWait = options.handles.length === 1
  void run()
  return { stop: () => abort.abort() }

  async function run(): Promise<void> {
    for (let failures = 0; !abort.signal.aborted;) {
      const isWell = await askAll().catch(() => false)
      failures = isWell ? 0 : failures + 1
      if (!isWell) await pause(reconnectDelayMs(failures, host.random()))
      else if (host.isHidden()) await pause(hiddenPauseMs)
      else if (!canWait) await pause(pauseMs)
    }
  }

  async function askAll(): Promise<true> {
    for (const handle of options.handles) await (isList(subjectOf(handle)) ? sip(handle) : ask(handle))
    return true
  }

  async function ask(handle: string): Promise<void> {
    const response = await host.fetch(taskUrl(options.basePath, subjectOf(handle)), {
      headers: headersFor(handle),
      cache: 'no-store',
      signal: abort.signal,
    })
    if (response.ok) {
      etags.set(handle, response.headers.get('etag') ?? '')
      sink.onSnapshot(handle, (await response.json()) as PublicSnapshot)
    } else if (refusals.includes(response.status)) sink.onGone(handle, goneReason(response.status))
    else if (response.status !== 304) throw new Error(String(response.status))
  }

  function headersFor(handle: string): Record<string, string> {
    const mayWait = canWait && !host.isHidden()
    return {
      ...authorization(options.tokenOf(handle)),
      'if-none-match': etags.get(handle) ?? '""',
      prefer: `wait=${String(mayWait ? longestWaitS : 0)}`,
    }
  }

  async function sip(handle: string): Promise<void> {
    const parts = { url: `${options.basePath}/stream`, handles: [handle], tokens: [options.tokenOf(handle)] }
    const listener = { onBytes: ignore, onEvent: ignore, onEnd: ignore }
    const stream = openStream(host, { ...parts, after: undefined }, { sink, listener })
    await pause(sipMs)
    stream.close()
    if (canWait) await pause(pauseMs)
  }

  function pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = host.clock.after(ms, resolve)
      abort.signal.addEventListener('abort', () => {
        timer.cancel()
        resolve()
      })
    })
  }
}

export function taskUrl(basePath: string, id: string): string {
  return `${basePath}/${encodeURIComponent(id)}`
}

export function goneReason(status: number): GoneReason {
  if (status === 410) return 'expired'
  return status === 404 ? 'unknown' : 'forbidden'
}

function ignore(): void {
  // the next round asks again whatever became of this one
}

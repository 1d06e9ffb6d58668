/**
 * The connection of this tab, or, in the tab that leads, of the whole browser: one stream at a time, reopened for ever.
 *
 * idle          nothing is wanted
 * connecting    the first stream is being opened
 * live          a stream delivers; another one may be opening beside it because the list grew
 * reconnecting  the stream was lost; the next try is waited for or under way
 * polling       streams do not come through here, or this tab may not have one: asks instead
 *
 * `setHandles` moves idle → connecting and back; the stream's first bytes → live; its end → reconnecting, or after two
 * streams that stayed mute → polling, until something wakes it.
 */
import { heartbeatMs, subscriptionLimit } from '../contract.ts'
import type { Host } from './host.ts'
import { startPolling } from './polling.ts'
import { reconnectDelayMs } from './backoff.ts'
import { type HandleSink, openStream, type StreamEnd, type StreamListener } from './stream.ts'

export type ConnectionState = 'idle' | 'connecting' | 'live' | 'reconnecting' | 'polling'

export interface ConnectionSink extends HandleSink {
  onState(state: ConnectionState): void
}

export interface Connection {
  /** @param isFresh also those that are already followed want a snapshot: someone new looks at them. */
  setHandles(handles: readonly string[], isFresh?: boolean): void
  /** Tries now what it would try later. */
  wake(): void
  /** Idempotent. */
  close(): void
}

export interface ConnectionOptions {
  readonly basePath: string
  /** A handle as it is to be sent now. */
  readonly tokenOf: (handle: string) => string
  /** False: this tab must do without a stream. */
  readonly mayStream: () => boolean
}

/** Handles that are added in one go open one stream. */
const gatherMs = 10
const deafLimit = 2

interface OpenStream {
  readonly handles: readonly string[]
  /** When it was last heard of, epoch milliseconds; 0: not yet. */
  heardAt: number
  close(): void
}

export function createConnection(host: Host, options: ConnectionOptions, sink: ConnectionSink): Connection {
  let state: ConnectionState = 'idle'
  let wanted: readonly string[] = []
  /** Delivers. Empty until the first bytes, and again once lost. */
  let current: OpenStream | undefined
  /** Opens beside it, or instead of it. */
  let next: OpenStream | undefined
  let polling: { stop(): void } | undefined
  let timer: { cancel(): void } | undefined
  let failures = 0
  let deafStreams = 0
  let cursor: { readonly handles: readonly string[]; readonly id: string } | undefined

  return { setHandles, wake, close: closeAll }

  function setHandles(handles: readonly string[], isFresh = false): void {
    wanted = handles
    if (handles.length === 0) return closeAll()
    const known = new Set((next ?? current)?.handles)
    const isServed = streamed().every(handle => known.has(handle))
    if (state === 'polling') return poll()
    if (isServed && !isFresh) return
    if (state === 'reconnecting') return
    if (state === 'idle') setState('connecting')
    cursor = undefined
    later(gatherMs, open)
  }

  function streamed(): readonly string[] {
    return wanted.slice(0, subscriptionLimit)
  }

  function open(): void {
    next?.close()
    if (!options.mayStream() || deafStreams >= deafLimit) return poll()
    const handles = streamed()
    const opened: OpenStream = { handles, heardAt: 0, close: () => stream.close() }
    next = opened
    const after = cursor !== undefined && isSame(cursor.handles, handles) ? cursor.id : undefined
    const parts = { url: `${options.basePath}/stream`, handles, tokens: handles.map(options.tokenOf), after }
    const stream = openStream(host, parts, { sink, listener: listenerOf(opened) })
  }

  function listenerOf(stream: OpenStream): StreamListener {
    return {
      onBytes() {
        // beside one that delivers, the first bytes may be a mere greeting: the snapshots are waited for
        if (current === undefined || stream.heardAt > 0) takeOver(stream)
        stream.heardAt = host.clock.now()
      },
      onEvent(id) {
        takeOver(stream)
        if (id !== '') cursor = { handles: stream.handles, id }
      },
      onEnd: end => onEnd(stream, end),
    }
  }

  function takeOver(stream: OpenStream): void {
    if (stream === current) return
    current?.close()
    polling?.stop()
    current = stream
    next = polling = undefined
    failures = deafStreams = 0
    setState('live')
  }

  function onEnd(stream: OpenStream, end: StreamEnd): void {
    if (stream === next) next = undefined
    else current = undefined
    // the one that opens takes over
    if (next !== undefined) return
    if (end.kind === 'refused') refuse(stream)
    if (wanted.length === 0) return
    if (end.kind === 'deaf') deafStreams += 1
    if (current === undefined && polling === undefined) setState('reconnecting')
    const waitMs = end.kind === 'lost' ? (end.waitMs ?? 0) : 0
    later(Math.max(waitMs, reconnectDelayMs(failures++, host.random())), open)
  }

  function refuse(stream: OpenStream): void {
    const served = new Set(current?.handles)
    for (const handle of stream.handles) if (!served.has(handle)) sink.onGone(handle, 'forbidden')
  }

  function poll(): void {
    setState('polling')
    polling?.stop()
    polling = startPolling(host, { ...options, handles: wanted }, sink)
  }

  function wake(): void {
    if (state === 'idle' || next !== undefined) return
    failures = 0
    // where streams do not come through, one more is tried beside the polling
    deafStreams = Math.min(deafStreams, deafLimit - 1)
    // a live one may have died in the machine's sleep: asking again is cheap, and the old one serves meanwhile
    const silentMs = host.clock.now() - (current?.heardAt ?? 0)
    if (silentMs > heartbeatMs * 1.2) later(0, open)
  }

  function later(ms: number, run: () => void): void {
    timer?.cancel()
    timer = host.clock.after(ms, run)
  }

  function closeAll(): void {
    timer?.cancel()
    polling?.stop()
    next?.close()
    current?.close()
    polling = next = current = undefined
    setState('idle')
  }

  function setState(to: ConnectionState): void {
    state = to
    sink.onState(to)
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((handle, index) => handle === b[index])
}

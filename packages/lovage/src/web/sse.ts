/**
 * One viewer's stream of server-sent events. What a slow reader has not taken is not piled up: beyond 64 KiB nothing is
 * written until it has read, then one snapshot of each task that changed meanwhile.
 *
 *   opening → open     `attach`: a socket is there
 *   open ⇄ stuck       too much is unread; one that stays stuck is cut
 *   any → closed       by the client, `end` (with bye) or `cut`; for good
 */
import type { AppInternals } from '../app/internals.ts'
import { crashPoint } from '../core/crash-point.ts'
import { isReadyState } from '../core/states.ts'
import type { GoneReason, HandlePayload, Permission, StreamEvents } from './contract.ts'
import type { Hub, Subscription, TaskTopic, Viewer } from './hub.ts'
import type { WebLimits } from './web-limits.ts'

/** Where the text goes. */
export interface Sink {
  /** Never blocks and never throws. */
  write(text: string): void
  /** Not yet taken by the client. */
  readonly bufferedBytes: number
  /** After what is written. */
  end(): void
  /** Now. */
  destroy(): void
}

/** One task of one handle of the list. */
export interface Followed extends Subscription {
  readonly handle: HandleEntry
  readonly topic: TaskTopic
  readonly allow: readonly Permission[]
  /** The topic's revision that was written last. */
  told: number | undefined
}

/** One handle of the list, by its index. */
export interface HandleEntry {
  readonly index: number
  /** Undefined: a bare id. */
  payload: HandlePayload | undefined
  readonly followed: Followed[]
  /** Of a list: ends the watch for new tasks. */
  endList?: (() => void) | undefined
}

export interface StreamOptions {
  readonly app: AppInternals
  readonly hub: Hub
  readonly limits: WebLimits
  /** The event id that the client came back with. */
  readonly after: string | undefined
  /** The handle for longer, when it may be; called once for each time it nears its end. */
  readonly renew: (
    payload: HandlePayload,
    topic: TaskTopic | undefined,
  ) => Promise<{ readonly handle: string; readonly payload: HandlePayload } | undefined>
  readonly onClose: () => void
}

/** A handle is renewed when it has less than this left. */
const renewBeforeMs = 2 * 60_000
/** What is written at once; the client's buffer is looked at in between. */
const chunkLength = 32 * 1024
/** Tasks that one stream follows, with all its lists. */
const mostFollowed = 1000

export class Stream implements Viewer {
  readonly #options: StreamOptions
  // lists, which are small, and nothing that is not needed: there may be ten thousand of these
  #handles: HandleEntry[] = []
  /** Changed, and not yet written; undefined: none. */
  #waiting: Set<Followed> | undefined
  /** Events other than snapshots, from before there was a socket. */
  #early: string
  #state: 'opening' | 'open' | 'stuck' | 'closed' = 'opening'
  #sink: Sink | undefined
  #followedCount = 0
  /** Monotonic milliseconds of the last write, and since when it is stuck. */
  #wroteAt: number
  #stuckSince = 0
  readonly #endsAt: number
  /** Epoch milliseconds at which some handle is to be looked at; Infinity: none. */
  #renewAt = Infinity

  constructor(options: StreamOptions) {
    this.#options = options
    const { app, limits, hub } = options
    this.#wroteAt = app.clock.monotonic()
    this.#endsAt = this.#wroteAt + limits.lifeMs * (1 + (Math.random() - 0.5) / 7.5)
    // for EventSource, whose own way of coming back it is; and the first bytes, at once
    this.#early = 'retry: 1000\n\n'
    hub.addViewer(this)
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  attach(sink: Sink): void {
    if (this.#state === 'closed') return sink.end()
    this.#sink = sink
    this.#state = 'open'
    this.#write(this.#early)
    this.#early = ''
    this.#flushWaiting()
  }

  addHandle(index: number, payload: HandlePayload | undefined): HandleEntry {
    const entry: HandleEntry = { index, payload, followed: [] }
    this.#handles.push(entry)
    if (payload !== undefined) this.#renewAt = Math.min(this.#renewAt, dueAt(payload))
    return entry
  }

  /** Follows a task of a handle; undefined when there are too many. What it is now is told by `begin` or `flush`. */
  follow(
    handle: HandleEntry,
    topicOf: (subscription: Subscription) => TaskTopic,
    allow: readonly Permission[],
  ): Followed | undefined {
    if (this.#state === 'closed' || this.#followedCount >= mostFollowed) return undefined
    // the topic is the hub's to give, and the hub needs to know for whom
    const started: Subscription & Pick<Followed, 'handle' | 'allow'> = {
      viewer: this,
      handle,
      allow,
    }
    const followed: Followed = Object.assign(started, { topic: topicOf(started), told: undefined })
    handle.followed.push(followed)
    this.#followedCount++
    return followed
  }

  /** Writes what a client that begins, or comes back, does not have. */
  begin(all: readonly Followed[]): void {
    const seen = this.#options.hub.frameOf(this.#options.after)
    const isMissing = ({ topic }: Followed): boolean =>
      seen === undefined || topic.bornFrame > seen || topic.changedFrame > seen
    this.flush(this.#options.hub.frame, all.filter(isMissing))
  }

  gone(index: number, reason: GoneReason): void {
    const entry = this.#handles.find(each => each.index === index)
    if (entry !== undefined) this.#dropHandle(entry)
    this.#send('gone', { handle: index, reason })
  }

  flush(frame: number, changed: readonly Subscription[]): void {
    if (this.#state === 'closed') return
    for (const each of changed as readonly Followed[]) {
      if (each.topic.state === undefined || each.told === each.topic.revision) continue
      this.#waiting ??= new Set()
      this.#waiting.add(each)
    }
    this.#flushWaiting(frame)
  }

  /** The client has read what was written. */
  drained(): void {
    if (this.#state !== 'stuck' || this.#bufferedBytes > 0) return
    this.#state = 'open'
    this.#flushWaiting()
  }

  tick(): void {
    const { app, limits } = this.#options
    const now = app.clock.monotonic()
    if (this.#state === 'stuck' && now - this.#stuckSince >= limits.stuckMs) return this.cut()
    if (now >= this.#endsAt) return this.end(Math.round(Math.random() * 2000))
    if (this.#state === 'open' && now - this.#wroteAt >= limits.heartbeatMs) this.#write(': hb\n\n')
    if (app.clock.now() >= this.#renewAt) this.#renewHandles()
  }

  /** Says goodbye: the client comes back after `retryMs`, to whichever server answers. */
  end(retryMs: number): void {
    if (this.#state === 'closed') return
    this.#send('bye', { retryMs })
    this.#sink?.end()
    this.close()
  }

  cut(): void {
    this.#sink?.destroy()
    this.close()
  }

  /** The socket is gone, or is about to be. Idempotent. */
  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const entry of this.#handles) this.#release(entry)
    this.#handles = []
    this.#waiting = undefined
    this.#early = ''
    this.#options.hub.removeViewer(this)
    this.#options.onClose()
  }

  get #bufferedBytes(): number {
    return this.#sink?.bufferedBytes ?? 0
  }

  /** In chunks; the id only behind the last, as proof that all came. */
  #flushWaiting(frame: number = this.#options.hub.frame): void {
    const waiting = this.#waiting
    if (this.#state !== 'open' || waiting === undefined) return
    let text = ''
    for (const followed of waiting) {
      waiting.delete(followed)
      text += this.#snapshotEvent(followed)
      if (waiting.size === 0) text += `id: ${this.#options.hub.eventId(frame)}\n`
      text += '\n'
      if (text.length < chunkLength) continue
      this.#write(text)
      text = ''
      if (this.#isFull()) return
    }
    this.#waiting = undefined
    this.#write(text)
    crashPoint('S1')
    this.#isFull()
  }

  /** Without the empty line that ends it. */
  #snapshotEvent(followed: Followed): string {
    const { handle, topic, allow } = followed
    followed.told = topic.revision
    return `event: snapshot\ndata: {"handle":${handle.index},${this.#options.hub.textOf(topic, allow)}\n`
  }

  #isFull(): boolean {
    if (this.#bufferedBytes <= this.#options.limits.bufferedBytes) return false
    this.#state = 'stuck'
    this.#stuckSince = this.#options.app.clock.monotonic()
    return true
  }

  #send<Name extends Exclude<keyof StreamEvents, 'snapshot'>>(name: Name, data: StreamEvents[Name]): void {
    this.#write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
  }

  #write(text: string): void {
    if (text === '' || this.#state === 'closed') return
    if (this.#sink === undefined) {
      this.#early += text
      return
    }
    this.#wroteAt = this.#options.app.clock.monotonic()
    this.#sink.write(text)
  }

  #dropHandle(entry: HandleEntry): void {
    this.#release(entry)
    this.#handles = this.#handles.filter(each => each !== entry)
  }

  #release(entry: HandleEntry): void {
    entry.endList?.()
    for (const followed of entry.followed.splice(0)) {
      this.#options.hub.unsubscribe(followed.topic, followed)
      this.#waiting?.delete(followed)
      this.#followedCount--
    }
  }

  #renewHandles(): void {
    const now = this.#options.app.clock.now()
    this.#renewAt = Infinity
    for (const entry of this.#handles) {
      const { payload } = entry
      if (payload === undefined) continue
      if (payload.exp * 1000 <= now) this.#expire(entry)
      else if (dueAt(payload) <= now) void this.#renewHandle(entry, payload)
      else this.#renewAt = Math.min(this.#renewAt, dueAt(payload))
    }
  }

  /** A handle whose task is ready has said all it can: it may end in silence. */
  #expire(entry: HandleEntry): void {
    if (isOver(entry)) this.#dropHandle(entry)
    else this.gone(entry.index, 'expired')
  }

  async #renewHandle(entry: HandleEntry, payload: HandlePayload): Promise<void> {
    const topic = entry.followed[0]?.topic
    const renewed = isOver(entry) ? undefined : await this.#options.renew(payload, topic).catch(() => undefined)
    // its end is the next time to look at it: `isOver` may have changed, the hook has not
    if (renewed === undefined) {
      this.#renewAt = Math.min(this.#renewAt, payload.exp * 1000)
      return
    }
    if (!this.#handles.includes(entry)) return
    entry.payload = renewed.payload
    this.#renewAt = Math.min(this.#renewAt, dueAt(renewed.payload))
    this.#send('handle', { handle: entry.index, next: renewed.handle })
  }
}

/** Epoch milliseconds at which a handle is to be renewed. */
function dueAt({ exp, iat }: HandlePayload): number {
  const lifeMs = iat === undefined ? Infinity : (exp - iat) * 1000
  return exp * 1000 - Math.min(renewBeforeMs, lifeMs / 2)
}

function isOver({ followed, endList }: HandleEntry): boolean {
  return endList === undefined && followed.every(({ topic }) => isReadyState(topic.state?.state ?? ''))
}

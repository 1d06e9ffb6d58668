/**
 * One stream for all tabs of a browser, because HTTP/1.1 allows six connections to a server. The tab that holds the Web
 * Lock leads: it streams what all tabs want and passes on what comes, by BroadcastChannel; the others wait for the lock,
 * which the browser hands on when the leader closes or dies. Where either is missing, each tab has its own stream.
 *
 * alone      no lock or no channel: own stream for two tabs, polling for more
 * following  waits for the lock, tells the leader what it wants, listens
 * leading    has the lock and the stream
 *
 * following → leading when the lock is granted, or taken by force from a leader not heard of (a tab the system has put
 * to sleep keeps its lock); leading → following when it was taken. `pagehide` leaves, the next `setHandles` or wake
 * joins again.
 */
import { heartbeatMs, silenceLimitMs } from '../contract.ts'
import {
  type Connection,
  type ConnectionOptions,
  type ConnectionSink,
  type ConnectionState,
  createConnection,
} from './connection.ts'
import type { Host } from './host.ts'
import { claimSlot } from './slots.ts'

type Message =
  /** `tokens`: the handles as they are to be sent now. */
  | {
      readonly kind: 'want'
      readonly from: string
      readonly handles: readonly string[]
      readonly tokens: readonly string[]
    }
  /** Try now: someone looks. */
  | { readonly kind: 'wake' }
  /** The leader is there: say what you want. */
  | { readonly kind: 'ask' }
  /** A call to the sink of every other tab. */
  | { readonly kind: 'call'; readonly member: keyof ConnectionSink; readonly args: readonly unknown[] }

/** A leader answers a tab at once; when it does not within this, it sleeps. */
const answerMs = 3_000
/** A tab that has left this many questions unanswered is gone, or asleep and will tell again when it wakes. */
const unansweredLimit = 4

interface Wish {
  readonly handles: readonly string[]
  unanswered: number
}

export function joinTabs(host: Host, options: Omit<ConnectionOptions, 'mayStream'>, sink: ConnectionSink): Connection {
  const name = `lovage:${options.basePath}`
  const self = String(host.random())
  let wanted: readonly string[] = []
  /** Empty: not joined. Gives back what this tab holds or waits for. */
  let leave: (() => void) | undefined
  let channel: BroadcastChannel | undefined
  /** Empty while following. */
  let connection: Connection | undefined
  /** What every tab wants, this one included, while leading. */
  const wishes = new Map<string, Wish>()
  /** Of other tabs' handles: as they are to be sent now. */
  const tokens = new Map<string, string>()
  let state: ConnectionState = 'idle'
  /** While following: until the leader counts as asleep. While leading: until the next question. */
  let timer: { cancel(): void } | undefined

  return { setHandles, wake, close }

  function setHandles(handles: readonly string[]): void {
    wanted = handles
    if (leave === undefined) join()
    else if (connection === undefined) tellWish()
    else follow(self, handles)
  }

  function join(): void {
    if (wanted.length === 0) return
    channel = host.locks && host.openChannel(name)
    if (channel === undefined) return standAlone()
    channel.onmessage = ({ data }: MessageEvent<Message>) => onMessage(data)
    sink.onState('connecting')
    waitInLine({})
    tellWish()
    expectLeader(answerMs)
  }

  function standAlone(): void {
    let slot: { free(): void } | undefined
    leave = () => slot?.free()
    const mayStream = (): boolean => (slot ??= claimSlot(host, name)) !== undefined
    connection = createConnection(host, { ...options, mayStream }, sink)
    follow(self, wanted)
  }

  function wake(): void {
    if (leave === undefined) return join()
    if (connection !== undefined) return connection.wake()
    tellWish()
    post({ kind: 'wake' })
    expectLeader(answerMs)
  }

  function onMessage(message: Message): void {
    if (connection === undefined) return onLeader(message)
    if (message.kind === 'wake') connection.wake()
    if (message.kind !== 'want') return
    for (const [index, handle] of message.handles.entries()) tokens.set(handle, message.tokens[index] ?? handle)
    follow(message.from, message.handles)
    post({ kind: 'call', member: 'onState', args: [state] })
  }

  function onLeader(message: Message): void {
    if (message.kind === 'ask') tellWish()
    else if (message.kind === 'call') (sink[message.member] as (...args: readonly unknown[]) => void)(...message.args)
    else return
    expectLeader(silenceLimitMs)
  }

  function waitInLine(how: LockOptions): void {
    leave?.()
    const abort = new AbortController()
    leave = () => abort.abort()
    let hasLed = false
    const lead = (): Promise<void> =>
      new Promise(resolve => {
        hasLed = true
        leave = resolve
        takeLead()
      })
    const request = host.locks?.request(name, how.steal === true ? how : { signal: abort.signal }, lead)
    request?.catch((error: unknown) => {
      // given up by this tab itself, or taken by another one; anything else: there are no locks to be had here
      if (hasLed) return stepDown()
      if (error instanceof DOMException && error.name === 'AbortError') return
      channel?.close()
      channel = undefined
      standAlone()
    })
  }

  function expectLeader(ms: number): void {
    later(ms, () => {
      // only a tab that is looked at: two that sleep would take it from each other for ever
      if (wanted.length > 0 && !host.isHidden()) waitInLine({ steal: true })
    })
  }

  function tellWish(): void {
    post({ kind: 'want', from: self, handles: wanted, tokens: wanted.map(options.tokenOf) })
  }

  function takeLead(): void {
    connection = createConnection(host, { ...options, tokenOf, mayStream: () => true }, sharedSink())
    follow(self, wanted)
    ask()
  }

  function tokenOf(handle: string): string {
    return wanted.includes(handle) ? options.tokenOf(handle) : (tokens.get(handle) ?? handle)
  }

  function stepDown(): void {
    endConnection()
    sink.onState('connecting')
    waitInLine({})
    tellWish()
    expectLeader(silenceLimitMs)
  }

  function ask(): void {
    for (const [tab, wish] of wishes) if (tab !== self && ++wish.unanswered > unansweredLimit) follow(tab, [])
    post({ kind: 'ask' })
    later(heartbeatMs, ask)
  }

  function follow(tab: string, handles: readonly string[]): void {
    const before = new Set(wishes.get(tab)?.handles)
    wishes.set(tab, { handles, unanswered: 0 })
    if (handles.length === 0) wishes.delete(tab)
    const all = new Set([...wishes.values()].flatMap(wish => wish.handles))
    // whoever is new needs what the others already have
    const isFresh = handles.some(handle => !before.has(handle))
    connection?.setHandles([...all], isFresh)
  }

  /** What the leader hears, every tab hears. */
  function sharedSink(): ConnectionSink {
    const share = (member: keyof ConnectionSink): ((...args: readonly unknown[]) => void) => {
      return (...args) => {
        if (connection !== undefined) post({ kind: 'call', member, args })
        if (member === 'onState') state = args[0] as ConnectionState
        if (member === 'onRenewed') tokens.set(String(args[0]), String(args[1]))
        ;(sink[member] as (...args: readonly unknown[]) => void)(...args)
      }
    }
    return {
      onSnapshot: share('onSnapshot'),
      onGone: share('onGone'),
      onRenewed: share('onRenewed'),
      onState: share('onState'),
    }
  }

  function post(message: Message): void {
    channel?.postMessage(message)
  }

  function later(ms: number, run: () => void): void {
    timer?.cancel()
    timer = host.clock.after(ms, run)
  }

  function endConnection(): void {
    const ended = connection
    // first, so that its last words stay in this tab
    connection = undefined
    ended?.close()
    wishes.clear()
  }

  function close(): void {
    timer?.cancel()
    if (connection === undefined) post({ kind: 'want', from: self, handles: [], tokens: [] })
    endConnection()
    channel?.close()
    leave?.()
    leave = channel = undefined
  }
}

/**
 * The store a page keeps of its tasks: what each handle shows now, and who wants to hear of it. Framework-free; the
 * elements and the React hook stand on it. Constructing one touches nothing; the first subscription connects.
 */
import type { AnyStates, GoneReason, ProblemBody, PublicSnapshot, States, TaskHandle } from '../contract.ts'
import { defaultBasePath } from '../contract.ts'
import type { Connection, ConnectionState } from './connection.ts'
import { authorization, isList, subjectOf } from './handles.ts'
import { browserHost, type Host } from './host.ts'
import { goneReason, taskUrl } from './polling.ts'
import { acceptedSnapshot, reduce, type Shown } from './reducer.ts'
import { joinTabs } from './tabs.ts'

/**
 * The connection, never the task: `closed` where nothing more will come because the task is ready, `gone` where there
 * is no such task for this handle.
 */
export type LinkState = 'connecting' | 'live' | 'polling' | 'reconnecting' | 'closed' | 'gone'

/** What one handle shows. A new object at each change, the same one in between. */
export interface HandleView<T = unknown, St extends States = AnyStates> {
  readonly snapshot: PublicSnapshot<T, St> | undefined
  readonly link: LinkState
  /** Why it is gone. */
  readonly gone: GoneReason | undefined
  /** For a list handle all of its tasks, in the order they came; else the one, once it is known. */
  readonly tasks: readonly Shown[]
  /** When something last came, epoch milliseconds. */
  readonly heardAt: number | undefined
}

export interface TaskClientOptions {
  /** Where the task routes are. @default '/tasks' */
  readonly basePath?: string | undefined
  /** Asked for a new handle when one has expired, as after a night's sleep; `undefined`: it stays gone. */
  readonly getHandle?: ((expired: string) => Promise<string | undefined>) | undefined
}

export interface TaskClient {
  /** Calls back with the present snapshot, if there is one, and with every newer one. Returns the end of it. */
  subscribe<T, St extends States>(
    handle: TaskHandle<T, St>,
    onSnapshot: (snapshot: PublicSnapshot<T, St>) => void,
  ): () => void
  /** Asks the server, once. `undefined`: there is no such task, or not for this handle. */
  snapshot<T, St extends States>(handle: TaskHandle<T, St>): Promise<PublicSnapshot<T, St> | undefined>
  /**
   * Asks that the task stops; that it did comes as a snapshot. Nothing happens to a ready one.
   * @param options.id which one, for a list's handle. @throws {TaskRequestError} the server did not take the request.
   */
  revoke(handle: TaskHandle, options?: { readonly id?: string; readonly reason?: string }): Promise<void>
  /** Shows the task as waiting from now on: a server has just accepted it (202). The first real snapshot replaces that. */
  accepted(handle: TaskHandle): void
  /** Like `subscribe`, with the connection: calls at every change of `view(handle)`. */
  watch(handle: TaskHandle, onChange: () => void): () => void
  /** What `handle` shows now, without asking. */
  view<T, St extends States>(handle: TaskHandle<T, St>): HandleView<T, St>
}

/** A request that the server refused or that did not reach it (`status` 0). */
export class TaskRequestError extends Error {
  override readonly name = 'TaskRequestError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface Entry {
  /** What is sent in place of the handle since it was renewed. */
  token: string
  readonly tasks: Map<string, Shown>
  readonly listeners: Set<() => void>
  gone: GoneReason | undefined
  heardAt: number | undefined
  view: HandleView
}

/** Entries that nobody listens to are kept, for a component that comes back, up to this many in all. */
const keptEntries = 500
/** Of one list. */
const keptTasks = 200

export function createTaskClient(options: TaskClientOptions = {}): TaskClient {
  const basePath = (options.basePath ?? defaultBasePath).replace(/\/$/, '')
  const entries = new Map<string, Entry>()
  let state: ConnectionState = 'connecting'
  let connection: Connection | undefined
  let host: Host | undefined

  return { subscribe, snapshot, revoke, accepted, watch, view }

  function subscribe<T, St extends States>(
    handle: TaskHandle<T, St>,
    onSnapshot: (snapshot: PublicSnapshot<T, St>) => void,
  ): () => void {
    let last: readonly Shown[] = []
    const tell = (): void => {
      const { tasks } = view(handle)
      const before = last
      last = tasks
      for (const task of tasks) if (!before.includes(task)) onSnapshot(task.snapshot as PublicSnapshot<T, St>)
    }
    const end = watch(handle, tell)
    tell()
    return end
  }

  function watch(handle: string, onChange: () => void): () => void {
    const entry = entryOf(handle)
    // each call is one listener, even with the same function
    const listener = (): void => onChange()
    entry.listeners.add(listener)
    connect()
    return () => {
      entry.listeners.delete(listener)
      connect()
    }
  }

  function view<T, St extends States>(handle: TaskHandle<T, St>): HandleView<T, St> {
    return entryOf(handle).view as HandleView<T, St>
  }

  function accepted(handle: string): void {
    if (entryOf(handle).tasks.size === 0) take(handle, acceptedSnapshot(subjectOf(handle)))
  }

  async function snapshot<T, St extends States>(handle: TaskHandle<T, St>): Promise<PublicSnapshot<T, St> | undefined> {
    const { token } = entryOf(handle)
    const id = subjectOf(handle)
    const response = await getHost().fetch(taskUrl(basePath, id), { headers: authorization(token), cache: 'no-store' })
    if (goneReason(response.status) !== 'forbidden') return undefined
    if (!response.ok) throw await toError(response)
    take(handle, (await response.json()) as PublicSnapshot)
    return entryOf(handle).tasks.get(id)?.snapshot as PublicSnapshot<T, St> | undefined
  }

  async function revoke(
    handle: string,
    { id = subjectOf(handle), reason }: { readonly id?: string; readonly reason?: string } = {},
  ): Promise<void> {
    const response = await getHost().fetch(`${taskUrl(basePath, id)}/revoke`, {
      method: 'POST',
      headers: { ...authorization(entryOf(handle).token), 'content-type': 'application/json' },
      body: JSON.stringify({ reason }),
    })
    if (!response.ok) throw await toError(response)
  }

  function getHost(): Host {
    return (host ??= browserHost())
  }

  /** Follows what is listened to and can still change. */
  function connect(): void {
    const handles = [...entries].filter(([handle, entry]) => entry.listeners.size > 0 && !isOver(handle, entry))
    if (connection === undefined && handles.length === 0) return
    connection ??= openConnection()
    connection.setHandles(handles.map(([handle]) => handle))
  }

  function openConnection(): Connection {
    const sink = { onSnapshot: take, onGone, onRenewed, onState }
    const tokenOf = (handle: string): string => entries.get(handle)?.token ?? handle
    const opened = joinTabs(getHost(), { basePath, tokenOf }, sink)
    getHost().onWake(() => opened.wake())
    getHost().onHide(() => opened.close())
    return opened
  }

  function take(handle: string, snapshot: PublicSnapshot): void {
    const entry = entries.get(handle)
    if (entry === undefined) return
    const now = getHost().clock.now()
    const before = entry.tasks.get(snapshot.id)
    const shown = reduce(before, snapshot, now)
    entry.heardAt = now
    entry.gone = undefined
    if (shown === before) return
    entry.tasks.set(snapshot.id, shown)
    if (entry.tasks.size > keptTasks) dropOldest(entry.tasks)
    update(handle, entry)
    if (isOver(handle, entry)) connect()
  }

  function onGone(handle: string, reason: GoneReason): void {
    const entry = entries.get(handle)
    if (entry === undefined || isOver(handle, entry)) return
    if (reason === 'expired' && options.getHandle !== undefined) void renew(handle, entry)
    else setGone(handle, entry, reason)
  }

  async function renew(handle: string, entry: Entry): Promise<void> {
    const next = await options.getHandle?.(handle).catch(() => undefined)
    if (next === undefined) return setGone(handle, entry, 'expired')
    entry.token = next
    connection?.setHandles([])
    connect()
  }

  function setGone(handle: string, entry: Entry, reason: GoneReason): void {
    entry.gone = reason
    update(handle, entry)
    connect()
  }

  function onRenewed(handle: string, next: string): void {
    const entry = entries.get(handle)
    if (entry !== undefined) entry.token = next
  }

  function onState(to: ConnectionState): void {
    // between two pages nothing is connected, and nobody needs to know
    if (to === state || to === 'idle') return
    state = to
    for (const [handle, entry] of entries) update(handle, entry)
  }

  function update(handle: string, entry: Entry): void {
    entry.view = viewOf(handle, entry)
    for (const listener of entry.listeners) {
      try {
        listener()
      } catch (error) {
        // the page's own mistake is for its console: the connection, and who listens beside it, go on
        getHost().clock.after(0, () => {
          throw error
        })
      }
    }
  }

  function viewOf(handle: string, entry: Entry): HandleView {
    const tasks = [...entry.tasks.values()]
    const { gone, heardAt } = entry
    const link = gone !== undefined ? 'gone' : isOver(handle, entry) ? 'closed' : (state as LinkState)
    return { snapshot: tasks[0]?.snapshot, link, gone, tasks, heardAt }
  }

  function entryOf(handle: string): Entry {
    let entry = entries.get(handle)
    if (entry === undefined) {
      dropIdle()
      const fresh = { token: handle, tasks: new Map(), listeners: new Set<() => void>(), gone: undefined }
      entry = { ...fresh, heardAt: undefined, view: undefined as unknown as HandleView }
      entry.view = viewOf(handle, entry)
      entries.set(handle, entry)
    }
    return entry
  }

  function dropIdle(): void {
    if (entries.size < keptEntries) return
    for (const [handle, entry] of entries) if (entry.listeners.size === 0) entries.delete(handle)
  }
}

/** A task that is ready, or a handle that leads nowhere. A list is never over. */
function isOver(handle: string, { gone, tasks }: Entry): boolean {
  if (gone !== undefined) return true
  return !isList(subjectOf(handle)) && tasks.size > 0 && [...tasks.values()].every(({ snapshot }) => snapshot.ready)
}

/** The first that came and is ready; what still runs stays, however much it is. */
function dropOldest(tasks: Map<string, Shown>): void {
  const [id] = [...tasks].find(([, { snapshot }]) => snapshot.ready) ?? []
  if (id !== undefined) tasks.delete(id)
}

async function toError(response: Response): Promise<TaskRequestError> {
  const problem = (await response.json().catch(() => undefined)) as ProblemBody | undefined
  return new TaskRequestError(response.status, problem?.error.text ?? response.statusText)
}

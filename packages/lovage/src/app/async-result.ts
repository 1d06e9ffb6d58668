/** One sent task, by id, read from the store. Nothing of it is kept here: every look is a fresh one. */
import type { Backend } from '../backend.ts'
import type { Clock } from '../core/clock.ts'
import type { StoredState } from '../core/record.ts'
import { ResultTimeoutError, TaskFailedError, TaskRevokedError } from '../core/errors.ts'
import { revokeMs, revokePrefix } from '../core/keys.ts'
import { isReadyState } from '../core/states.ts'
import { assertMs, assertOptionNames, assertText } from './options.ts'
import { controlAddress, encodeCommand } from '../protocol/pidbox.ts'
import { holdProcess } from './process-wide.ts'
import { toSnapshot } from './snapshot.ts'
import type { AsyncResult, RevokeOptions, Snapshot, WaitOptions } from './types.ts'

/** What a result needs of its app. */
export interface ResultSource {
  readonly clock: Clock
  backend(): Promise<Backend>
}

/** @throws {InvalidArgumentError} the id is none. */
export function createResult(source: ResultSource, id: string, deduplicated = false): AsyncResult {
  if (id === undefined) assertText('The id of a task', '')
  assertText('The id of a task', id)
  return new ResultHandle(source, id, deduplicated)
}

/** A class, because one is held for every task sent: an object of closures is twelve to collect. */
class ResultHandle implements AsyncResult {
  readonly id: string
  readonly deduplicated: boolean
  readonly #source: ResultSource

  constructor(source: ResultSource, id: string, deduplicated: boolean) {
    this.#source = source
    this.id = id
    this.deduplicated = deduplicated
  }

  async snapshot(): Promise<Snapshot | undefined> {
    const { results } = await this.#source.backend()
    const lookup = await results.get(this.id)
    return lookup.kind === 'state' ? toSnapshot(lookup.state) : undefined
  }

  async state(): Promise<string | undefined> {
    return (await this.snapshot())?.state
  }

  async info(): Promise<unknown> {
    return infoOf(await this.snapshot())
  }

  async ready(): Promise<boolean> {
    return (await this.snapshot())?.ready === true
  }

  async successful(): Promise<boolean> {
    return (await this.state()) === 'SUCCESS'
  }

  async failed(): Promise<boolean> {
    return (await this.state()) === 'FAILURE'
  }

  get(options: WaitOptions = {}): Promise<unknown> {
    return waitForValue(this.#source, this.id, options)
  }

  watch(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncIterable<Snapshot> {
    return watchSnapshots(this.#source, this.id, options.signal)
  }

  revoke(options: RevokeOptions = {}): Promise<void> {
    return revoke(this.#source, this.id, options)
  }

  async forget(): Promise<void> {
    const { results } = await this.#source.backend()
    await results.forget([this.id])
  }
}

function infoOf(snapshot: Snapshot | undefined): unknown {
  return snapshot?.state === 'SUCCESS' ? snapshot.result : (snapshot?.error ?? snapshot?.meta)
}

/** A key that the workers watch: the one that has the task, now or later, ends it. */
async function revoke(source: ResultSource, id: string, options: RevokeOptions): Promise<void> {
  assertOptionNames('revoke()', options, ['terminate', 'reason'])
  assertText('revoke(): reason', options.reason)
  const { broker, results, coordination } = await source.backend()
  const lookup = await results.get(id)
  if (lookup.kind === 'state' && isReadyState(lookup.state.state)) return
  const request = { terminate: options.terminate ?? false, reason: options.reason, at: source.clock.now() }
  await coordination.put(revokePrefix + id, JSON.stringify(request), revokeMs)
  // where Celery's workers share the broker, one of them may have it
  if (broker.reply === undefined) return
  const args = { task_id: id, terminate: request.terminate, signal: 'SIGTERM' }
  await broker.send(controlAddress, encodeCommand({ method: 'revoke', args }, request.at + commandMs))
}

/** How long a command may travel to Celery's workers. */
const commandMs = 300_000

/** The states of one task as they come. Ends itself with the ready one. */
interface Follower {
  readonly onState: (state: StoredState) => void
  readonly onEnd: (error: unknown) => void
  readonly signal: AbortSignal | undefined
}

/**
 * Follows a task until the returned function is called; holds the process meanwhile, which an idle connection does not.
 * Whatever ends it otherwise is told to `onEnd`, never thrown.
 */
function follow(source: ResultSource, id: string, { onState, onEnd, signal }: Follower): () => void {
  let isOver = false
  let unwatch: (() => void) | undefined
  const letGo = holdProcess()
  const end = (): void => {
    if (isOver) return
    isOver = true
    letGo()
    signal?.removeEventListener('abort', onAbort)
    unwatch?.()
    unwatch = undefined
  }
  const fail = (error: unknown): void => {
    if (isOver) return
    end()
    onEnd(error)
  }
  function onAbort(): void {
    fail(signal?.reason)
  }
  const tell = (state: StoredState): void => {
    if (!isOver) onState(state)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  else {
    const options = { onState: tell, onEnd: fail }
    const watching = source.backend().then(({ results }) => results.watch([id], options))
    watching.then(started => {
      if (isOver) started()
      else unwatch = started
    }, fail)
  }
  return end
}

async function waitForValue(source: ResultSource, id: string, options: WaitOptions): Promise<unknown> {
  assertOptionNames('get()', options, ['timeoutMs', 'signal'])
  assertMs('get(): timeoutMs', options.timeoutMs)
  let known: StoredState | undefined
  const final = await new Promise<StoredState>((resolve, reject) => {
    const onState = (state: StoredState): void => {
      known = state
      if (!isReadyState(state.state)) return
      stop()
      resolve(state)
    }
    const { timeoutMs } = options
    const onTime = (): void => {
      stop()
      reject(timeoutError(id, timeoutMs ?? 0, known))
    }
    const timer = timeoutMs === undefined ? undefined : source.clock.after(timeoutMs, onTime)
    const onEnd = (error: unknown): void => {
      timer?.cancel()
      reject(error)
    }
    const end = follow(source, id, { onState, onEnd, signal: options.signal })
    function stop(): void {
      timer?.cancel()
      end()
    }
  })
  return valueOf(toSnapshot(final) as Snapshot<unknown, {}>)
}

function timeoutError(id: string, timeoutMs: number, known: StoredState | undefined): ResultTimeoutError {
  const why = known === undefined ? 'no task with this id is known here' : `it is ${known.state}`
  return new ResultTimeoutError(`No result of task ${id} within ${timeoutMs} ms: ${why}`, {
    taskId: id,
    known: known !== undefined,
    details: { state: known?.state },
  })
}

/** @throws {TaskFailedError | TaskRevokedError} */
function valueOf(snapshot: Snapshot<unknown, {}>): unknown {
  const subject = `${snapshot.name ?? 'Task'} (${snapshot.id})`
  if (snapshot.state === 'FAILURE') {
    const { type, message, traceback } = snapshot.error
    const cause = new Error(message)
    cause.name = type
    throw new TaskFailedError(`${subject} failed: ${type}: ${message}`, {
      cause,
      taskId: snapshot.id,
      remoteType: type,
      remoteMessage: message,
      remoteTraceback: traceback,
    })
  }
  if (snapshot.state === 'REVOKED')
    throw new TaskRevokedError(`${subject} was ${snapshot.reason}`, {
      taskId: snapshot.id,
      details: { reason: snapshot.reason },
    })
  return snapshot.result
}

/** Snapshots that wait for a slow reader; beyond it the oldest are left out, as a store may do. */
const mostWaiting = 100

async function* watchSnapshots(
  source: ResultSource,
  id: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Snapshot, void, undefined> {
  const waiting: StoredState[] = []
  let failure: { readonly error: unknown } | undefined
  let wake = (): void => undefined
  const end = follow(source, id, {
    onState: state => {
      waiting.push(state)
      if (waiting.length > mostWaiting) waiting.shift()
      wake()
    },
    onEnd: error => {
      failure = { error }
      wake()
    },
    signal,
  })
  const next = async (): Promise<StoredState> => {
    for (;;) {
      const state = waiting.shift()
      if (state !== undefined) return state
      if (failure !== undefined) throw failure.error
      await new Promise<void>(resolve => (wake = resolve))
    }
  }
  try {
    for (;;) {
      const state = await next()
      yield toSnapshot(state)
      if (isReadyState(state.state)) return
    }
  } finally {
    end()
  }
}

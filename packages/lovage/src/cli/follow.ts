/**
 * Follows one task until it is ready: on a terminal one line that is redrawn, in a pipe one line per change.
 * The first Ctrl-C ends the following, never the task.
 */
import type { Backend } from '../backend.ts'
import type { AsyncResult, Snapshot } from '../app/types.ts'
import { systemClock, type Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { printableLine } from '../core/printable.ts'
import { presencePrefix } from '../core/keys.ts'
import { exitCodes } from './exit-codes.ts'
import { describeSnapshot, progressDetail, snapshotJson, stateStyle } from './format-snapshot.ts'
import type { Terminal } from './terminal.ts'

export interface FollowOptions {
  readonly terminal: Terminal
  /** Every snapshot as one line of JSON. */
  readonly json?: boolean | undefined
  /** Where workers make themselves known. */
  readonly backend: Backend
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
}

/** After this long without a worker's sign, ask whether there is one. */
const patienceMs = 1500
/** Elapsed time is shown in tenths. */
const redrawMs = 100

/** @returns the exit code: 0 SUCCESS or no longer followed, 1 FAILURE or REVOKED. */
export async function followTask(result: AsyncResult, options: FollowOptions): Promise<number> {
  const stopped = new AbortController()
  const onInterrupt = (): void => stopped.abort()
  process.once('SIGINT', onInterrupt)
  const signal = options.signal === undefined ? stopped.signal : AbortSignal.any([stopped.signal, options.signal])
  const view = options.terminal.isLive && options.json !== true ? new LiveView(options) : new LineView(options)
  const hint = hintAtNoWorker(view, options)
  try {
    for await (const snapshot of result.watch({ signal })) {
      if (snapshot.state !== 'PENDING') hint.cancel()
      view.show(snapshot)
      if (snapshot.ready) return snapshot.state === 'SUCCESS' ? exitCodes.ok : exitCodes.taskFailed
    }
    return exitCodes.ok
  } catch (error) {
    if (!stopped.signal.aborted) throw error
    view.end()
    options.terminal.err(`Stopped following; the task goes on. Look again: lovage result ${result.id} --follow`)
    options.terminal.err(`To end the task: lovage revoke ${result.id}`)
    return exitCodes.ok
  } finally {
    hint.cancel()
    view.end()
    process.off('SIGINT', onInterrupt)
  }
}

interface View {
  show(snapshot: Snapshot): void
  /** A sentence beside the states. */
  note(text: string): void
  /** Idempotent. */
  end(): void
}

function hintAtNoWorker(view: View, { backend, clock = systemClock }: FollowOptions): { cancel(): void } {
  return clock.after(patienceMs, () => {
    backend.coordination.list(presencePrefix).then(
      workers => {
        if (workers.length === 0)
          view.note(`Waiting for a worker. None is running on ${backend.description.transport}: npx lovage worker`)
      },
      // a broker that cannot say who is there has no hint
      () => undefined,
    )
  })
}

/** For pipes and files: one line per change. */
class LineView implements View {
  readonly #terminal: Terminal
  readonly #json: boolean
  #last = ''

  constructor({ terminal, json }: FollowOptions) {
    this.#terminal = terminal
    this.#json = json === true
  }

  show(snapshot: Snapshot): void {
    const line = this.#json ? snapshotJson(snapshot) : describeSnapshot(snapshot)
    if (line === this.#last) return
    this.#last = line
    this.#terminal.out(line)
  }

  note(text: string): void {
    this.#terminal.err(text)
  }

  end(): void {
    // every line is out already
  }
}

/** For people: state, bar, percent, message and time on one line. */
class LiveView implements View {
  readonly #terminal: Terminal
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #timer: { cancel(): void }
  #snapshot: Snapshot | undefined
  #note = ''
  #isEnded = false

  constructor({ terminal, clock = systemClock }: FollowOptions) {
    this.#terminal = terminal
    this.#clock = clock
    this.#startedAt = clock.monotonic()
    this.#timer = clock.every(redrawMs, () => this.#draw())
  }

  show(snapshot: Snapshot): void {
    this.#snapshot = snapshot
    if (snapshot.state !== 'PENDING') this.#note = ''
    this.#draw()
    if (snapshot.ready) this.#finish(snapshot)
  }

  note(text: string): void {
    this.#note = text
    this.#draw()
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#timer.cancel()
    if (this.#snapshot !== undefined || this.#note !== '') this.#terminal.out('')
  }

  #finish(snapshot: Snapshot): void {
    this.#isEnded = true
    this.#timer.cancel()
    const [state = '', ...rest] = describeSnapshot(snapshot).split(' ')
    const detail = rest.length === 0 ? '' : ` ${rest.join(' ')}`
    this.#terminal.redraw(
      `${this.#terminal.paint(stateStyle(state), state)}${detail} ${this.#terminal.paint('dim', this.#elapsed())}\n`,
    )
  }

  #draw(): void {
    if (this.#isEnded) return
    const { columns } = this.#terminal
    const state = this.#snapshot?.state ?? 'PENDING'
    const line = this.#note === '' ? progressLine(this.#snapshot, columns) : this.#note
    // the last column stays free: a full line would wrap, and a wrapped line cannot be redrawn
    const text = printableLine(`${line}  ${this.#elapsed()}`, columns - state.length - 2)
    this.#terminal.redraw(`${this.#terminal.paint(stateStyle(state), state)} ${text}`)
  }

  #elapsed(): string {
    const ms = this.#clock.monotonic() - this.#startedAt
    return ms < 60_000 ? `${(ms / 1000).toFixed(1)}s` : formatDuration(ms)
  }
}

const widestBar = 30

/** What follows the state: `[██████░░░░] 30% 3/10 reading`. */
export function progressLine(snapshot: Snapshot | undefined, columns: number): string {
  if (snapshot?.progress === undefined)
    return snapshot === undefined ? '' : describeSnapshot(snapshot).slice(snapshot.state.length).trim()
  const { percent } = snapshot.progress
  const detail = progressDetail(snapshot.progress)
  if (percent === undefined) return detail
  const width = Math.max(5, Math.min(widestBar, columns - detail.length - 30))
  const filled = Math.round((percent / 100) * width)
  return `[${'█'.repeat(filled)}${'░'.repeat(width - filled)}] ${Math.floor(percent)}% ${detail}`
}

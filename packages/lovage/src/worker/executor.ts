/**
 * The heart of the worker: takes deliveries, decides, runs, settles.
 *
 *   decode → guard → start → run → classify → settle → announce
 *
 * What decides is in decide.ts; this shell carries it out. A delivery is here from `accept` until its settlement
 * has been answered. If the process dies anywhere in between, the broker delivers again.
 *
 * A delivery's `phase`: waiting (for a slot, in the line) → running (handed to the pool) → settling;
 * or due (in the DueQueue) → waiting; or at once → settling.
 */
import type { Delivery } from '../broker.ts'
import type { ProgressDocument, StoredState } from '../core/record.ts'
import type { AbortReason, Pool, RunReport, RunResult } from '../pools/pool.ts'
import type { Timer } from '../core/clock.ts'
import type { WireMessage } from '../core/wire.ts'
import { crashPoint } from '../core/crash-point.ts'
import { coerceError } from '../core/errors.ts'
import { decodeTaskHeaders, type TaskMessage } from '../protocol/task-message.ts'
import { readWorkflow, type Workflow } from '../protocol/workflow.ts'
import { blamed, classify, guard, mustAsk, type TaskPolicy } from './decide.ts'
import { DueQueue } from './due-queue.ts'
import { Line } from './line.ts'
import { Marks, type MarksOptions, type Stopping } from './marks.ts'
import { Outcome } from './outcome.ts'
import { cameWithRecord, createRun, recordBase, sawStored, unreadable, type Run, type RunnableTask } from './run.ts'
import { repliesTo, replyAddress } from './replies.ts'
import { dispositionOf } from './settlement.ts'
import { Settler } from './settler.ts'
import type { Sender } from './successors.ts'
import { Throughput, tickMs } from './throughput.ts'
import { attemptOf, Twins } from './twins.ts'

/** What happens, for logs, events and tests. */
export interface ExecutorEvents {
  received?(run: Run): void
  started?(run: Run): void
  report?(run: Run, report: RunReport): void
  /** `lost`: another worker has the delivery by now; what this one made of it was dropped. */
  settled?(run: Run, outcome: Outcome, lost: boolean): void
  /** Its end, or what was to follow, can never be written. `fate`: a sentence, what becomes of it. */
  unsettled?(run: Run, error: Error, fate: string): void
  /** The store or broker refused a write that will be tried again. */
  trouble?(error: Error, what: string): void
}

export interface ExecutorOptions extends MarksOptions {
  readonly pool: Pool
  readonly slots: number
  readonly random: () => number
  /** Undefined: no such task here. */
  readonly findTask: (name: string) => RunnableTask | undefined
  readonly sender: Sender
  /** Told whenever the number of deliveries worth holding has changed. */
  readonly onPrefetch: (prefetch: number) => void
  readonly events: ExecutorEvents
}

/** A task that ends sooner than this never shows STARTED: its end is written in the same breath. */
const startedAfterMs = 10
/** Deliveries waiting for their time in this process; beyond it they go back to the broker. */
const dueLimit = 10_000
/** An eta further away than this is the broker's to wait for, where it can. */
const holdMs = 1000

export class Executor {
  readonly #options: ExecutorOptions
  readonly #throughput: Throughput
  readonly #settler: Settler
  readonly #marks: Marks
  readonly #due: DueQueue<Run>
  readonly #line: Line
  readonly #twins = new Twins()
  readonly #held = new Set<Run>()
  /** Of those, how many have run, or never will, and wait for their end to be stored. */
  #settlingCount = 0
  /** By attempt, whose end was refused for good, also as a dead letter: held no more, and never settled with the broker. */
  readonly #stranded = new Map<string, Run>()
  #nextRunId = 1
  #ticker: Timer | undefined
  /** What was last told to `onPrefetch`. */
  #prefetch: number
  #idle: (() => void)[] = []
  /** Draining, by `returnUnstarted`: what arrives from now on goes back. Aborting, by `abortAll`. */
  #stopping: Stopping = 'no'

  constructor(options: ExecutorOptions) {
    this.#options = options
    this.#throughput = new Throughput(options.slots)
    this.#line = new Line(options.slots)
    this.#settler = new Settler(options)
    this.#marks = new Marks(options, this.#settler, () => this.#stopping)
    this.#prefetch = this.#throughput.prefetch(0)
    this.#due = new DueQueue({
      clock: options.clock,
      limit: dueLimit,
      onDue: run => this.#admitNow(run, options.clock.now()),
    })
  }

  get prefetch(): number {
    return this.#prefetch
  }

  /** Deliveries not yet settled. */
  get heldCount(): number {
    return this.#held.size
  }

  get runningCount(): number {
    return this.#line.runningCount
  }

  accept(batch: readonly Delivery[]): void {
    crashPoint('W2')
    const now = this.#options.clock.now()
    for (const delivery of batch) this.#decode(delivery, now)
    this.#pump()
  }

  /**
   * Revokes a task that is here, every delivery of it: waiting or due ends at once, running is told. Looked for one by
   * one, because it is rare; one whose state is being read is asked about before it goes on.
   */
  revoke(id: string, terminate: boolean, graceMs: number): void {
    for (const run of this.#line.handedOver())
      if (run.request.id === id) this.#abort(run, terminate ? 'terminated' : 'revoked', terminate ? graceMs : undefined)
    for (const run of [...this.#line.waiting(), ...this.#due.items()].filter(({ request }) => request.id === id)) {
      this.#forgetWaiting(run)
      void this.#settle(run, Outcome.revoked('revoked'))
    }
  }

  /** Gives back all that does not run yet, and whatever arrives from now on. */
  returnUnstarted(): void {
    if (this.#stopping === 'no') this.#stopping = 'draining'
    const waiting = [...this.#due.drain(), ...this.#line.drain(), ...this.#twins.drain()]
    for (const run of waiting) void this.#settle(run, Outcome.returned())
    crashPoint('W13')
    for (const run of this.#line.queuedInPool()) this.#options.pool.takeBack(run.runId)
  }

  /** Tells all that runs to stop; it is given back. After `forceAfterMs` it is ended by force. */
  abortAll(forceAfterMs: number): void {
    this.#stopping = 'aborting'
    for (const run of this.#line.handedOver()) this.#abort(run, 'shutdown', forceAfterMs)
  }

  /** For good: tries no more to write what the store or the broker refuses. */
  abandon(): void {
    this.#settler.abandon()
    this.#ticker?.cancel()
    this.#ticker = undefined
  }

  /**
   * What was abandoned goes back, without a word in the store, and is delivered again, and so does what could not be
   * settled: this process may live on. What the broker does not take back comes when the connection ends.
   */
  async giveBack(): Promise<void> {
    await Promise.allSettled([...this.#held, ...this.#stranded.values()].map(run => this.#giveBackOne(run)))
  }

  /** A crash never goes uncounted: where it cannot be written, the delivery stays. */
  async #giveBackOne({ delivery, outcome }: Run): Promise<void> {
    const { broker } = this.#options.backend
    const isCrash = outcome?.kind === 'returned' && outcome.crashed
    await broker.settle({ delivery, disposition: isCrash ? dispositionOf(outcome) : { kind: 'requeue' } })
  }

  /** Resolves when nothing is held. */
  idle(): Promise<void> {
    if (this.#held.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  // ── decode, guard ─────────────────────────────────────────────────────────────────────────────────

  #decode(delivery: Delivery, now: number): void {
    let request: TaskMessage | undefined
    let workflow: Workflow | undefined
    try {
      request = this.#readRequest(delivery.message)
      workflow = readWorkflow(delivery.message)
    } catch (error) {
      const run = this.#hold(delivery, { request: request ?? unreadable(delivery), workflow: undefined }, now)
      const { name: type, message } = coerceError(error)
      void this.#settle(run, Outcome.parked(`it cannot be read: ${message}`, { type, message, retryable: false }))
      return
    }
    const run = this.#hold(delivery, { request, workflow }, now)
    this.#options.events.received?.(run)
    if (this.#stopping !== 'no') void this.#settle(run, Outcome.returned())
    else if (!this.#twins.add(run)) this.#admitNow(run, now)
  }

  /** Whoever waits at our own address finds everything in the store. */
  #readRequest(message: WireMessage): TaskMessage {
    const request = decodeTaskHeaders(message)
    const { replyTo: own } = this.#options.backend.results
    return own !== undefined && request.replyTo === own ? { ...request, replyTo: undefined } : request
  }

  #hold(delivery: Delivery, { request, workflow }: Pick<Run, 'request' | 'workflow'>, receivedAt: number): Run {
    const task = this.#options.findTask(request.task)
    const factsAreKept = this.#options.backend.atomic && cameWithRecord(request)
    const run = createRun({ delivery, request, task, workflow, receivedAt, factsAreKept, runId: this.#nextRunId++ })
    this.#held.add(run)
    this.#ticker ??= this.#options.clock.every(tickMs, () => this.#tick())
    return run
  }

  /** On its arrival, and when its time has come: while it waited, another copy of it may have run. */
  #admitNow(run: Run, now: number): void {
    if (mustAsk(run.delivery, run.request, this.#options.backend.atomic)) void this.#admitAsked(run)
    else this.#admit(run, now)
  }

  /** Somebody may have had it before: the store knows how far they came. */
  async #admitAsked(run: Run): Promise<void> {
    const stored = await this.#settler.storedState(run)
    // meanwhile the worker may have been told to stop
    if (this.#stopping !== 'no') return void this.#settle(run, Outcome.returned())
    sawStored(run, stored)
    run.askedAt = this.#options.clock.now()
    this.#admit(run, run.askedAt, stored)
    this.#pump()
  }

  #admit(run: Run, now: number, stored?: StoredState): void {
    const { handOvers } = this.#options.backend.broker.capabilities
    const verdict = guard(blamed(run.delivery, run.request, { stored, handOvers }), run.request, {
      now,
      policy: run.task?.policy,
      revoked: this.#options.isRevoked(run.request.id),
      stored,
    })
    switch (verdict.kind) {
      case 'settle':
        return void this.#settle(run, verdict.outcome)
      case 'wait':
        return this.#wait(run, verdict.dueAt)
      case 'run':
        run.isolated = verdict.isolated
        run.careful = verdict.markStarted
        return this.#enqueue(run, now)
      default:
        return verdict satisfies never
    }
  }

  #wait(run: Run, dueAt: number): void {
    const delayMs = dueAt - this.#options.clock.now()
    const brokerWaits = this.#options.backend.broker.capabilities.delay && delayMs > holdMs
    run.phase = 'due'
    if (brokerWaits || !this.#due.add(run, dueAt)) void this.#settle(run, Outcome.returned(delayMs))
    else this.#tellPrefetch()
  }

  // ── start, run ────────────────────────────────────────────────────────────────────────────────────

  #enqueue(run: Run, now: number): void {
    crashPoint('W3')
    run.phase = 'waiting'
    run.waitsSince = now
    this.#line.push(run)
    if (run.delivery.redelivered || run.request.etaAt !== undefined) this.#pump()
  }

  #pump(): void {
    const window = this.#throughput.window()
    for (let run = this.#line.next(window); run !== undefined; run = this.#line.next(window)) {
      const { expiresAt } = run.request
      if (expiresAt !== undefined && expiresAt <= this.#options.clock.now())
        void this.#settle(run, Outcome.revoked('expired'))
      else this.#run(run)
    }
  }

  #run(run: Run): void {
    run.phase = 'running'
    this.#line.begin(run)
    if (!run.isolated && this.#marks.areNeeded(run)) void this.#markThenStart(run)
    else this.#start(run)
  }

  /** An isolated run waits for a process, and is not to be blamed for a death meanwhile. */
  async #mayBegin(run: Run): Promise<boolean> {
    run.refusal = await this.#marks.mark(run)
    run.startedAt ??= this.#options.clock.now()
    return run.refusal === undefined
  }

  async #markThenStart(run: Run): Promise<void> {
    this.#line.marking()
    const refusal = await this.#marks.mark(run)
    this.#line.marked()
    if (refusal === undefined) this.#start(run)
    else {
      this.#line.ended(run)
      void this.#settle(run, refusal)
    }
    this.#pump()
  }

  #start(run: Run): void {
    const { request, delivery, task } = run
    if (!run.isolated) run.startedAt ??= this.#options.clock.now()
    const result = this.#options.pool.run(
      {
        runId: run.runId,
        id: request.id,
        name: request.task,
        queue: delivery.queue,
        redelivered: delivery.redelivered,
        message: delivery.message,
        details: request,
        softLimitMs: request.softTimeLimitMs ?? task?.softTimeLimitMs,
        hardLimitMs: request.timeLimitMs ?? task?.timeLimitMs,
        isolated: run.isolated,
      },
      report => this.#report(run, report),
      run.isolated ? () => this.#mayBegin(run) : undefined,
    )
    result.then(
      ended => this.#ended(run, ended),
      error => this.#options.events.trouble?.(coerceError(error), 'run a task'),
    )
    if (run.careful || run.askedAt !== undefined) this.#catchUp(run)
  }

  /** What it was told while its start was being written, when the pool did not know it yet. */
  #catchUp(run: Run): void {
    const revoked = this.#options.isRevoked(run.request.id)
    if (revoked !== undefined) this.#abort(run, revoked.terminate ? 'terminated' : 'revoked')
    else if (this.#stopping === 'aborting') this.#abort(run, 'shutdown')
  }

  #report(run: Run, report: RunReport): void {
    this.#options.events.report?.(run, report)
    if (report.kind === 'log' || run.phase !== 'running') return
    crashPoint('W5')
    run.announced = true
    const [state, value] =
      report.kind === 'progress' ? ['PROGRESS', progressText(report.progress)] : [report.state, report.value]
    const record = { ...recordBase(run, this.#options.clock), state, value }
    const { backend } = this.#options
    this.#attempt('write progress', backend.results.put(record))
    const address = replyAddress(run.request, run.task?.policy)
    for (const reply of repliesTo(address, record, run.request.correlationId))
      this.#attempt('tell progress', backend.reply(reply))
  }

  #abort(run: Run, reason: AbortReason, forceAfterMs?: number): void {
    this.#options.pool.abort(run.runId, reason, forceAfterMs)
  }

  // ── classify, settle, announce ────────────────────────────────────────────────────────────────────

  #ended(run: Run, result: RunResult): void {
    this.#line.ended(run)
    if (result.kind !== 'aborted' || result.began) this.#throughput.finished()
    crashPoint('W6')
    const facts = {
      now: this.#options.clock.now(),
      random: this.#options.random(),
      policy: run.task?.policy ?? fallbackPolicy,
      isPassedOn: run.workflow !== undefined,
    }
    void this.#settle(run, run.refusal ?? classify(result, run.request, facts), facts.now)
    this.#pump()
  }

  /** Of each run once: at its end, or in place of its beginning. */
  async #settle(run: Run, outcome: Outcome, now = this.#options.clock.now()): Promise<void> {
    run.phase = 'settling'
    run.outcome = outcome
    this.#settlingCount++
    const { ended, isLost, refusal } = await this.#settler.settle(run, outcome, now)
    this.#settlingCount--
    this.#held.delete(run)
    const next = this.#twins.ended(run)
    if (next !== undefined) void this.#admitAsked(next)
    if (refusal === undefined) this.#options.events.settled?.(run, ended, isLost)
    else {
      this.#stranded.set(attemptOf(run), run)
      this.#options.events.unsettled?.(run, refusal, deliveredLater)
    }
    if (this.#held.size === 0) this.#becomeIdle()
  }

  /** For writes that may be lost: the next one, or the end, will say it again. */
  #attempt(what: string, write: Promise<unknown>): void {
    write.catch((error: unknown) => this.#options.events.trouble?.(coerceError(error), what))
  }

  // ── the pace ──────────────────────────────────────────────────────────────────────────────────────

  #tick(): void {
    this.#throughput.tick()
    this.#announceStarts()
    this.#returnStuck()
    this.#tellPrefetch()
    this.#pump()
  }

  /** Of what the pool has, the first `slots` run: those that have for a while show STARTED. */
  #announceStarts(): void {
    const before = this.#options.clock.now() - startedAfterMs
    let rank = 0
    for (const run of this.#line.handedOver()) {
      if (rank++ === this.#options.slots) return
      if (!run.announced && (run.startedAt ?? Infinity) <= before)
        this.#attempt('write STARTED', this.#marks.writeStart(run))
    }
  }

  /** Deliveries that wait behind slow tasks, in the pool or before it, go back, for workers that are free. */
  #returnStuck(): void {
    const now = this.#options.clock.now()
    if (!this.#line.isStuck(now)) return
    // told first, or what goes back comes again at once
    this.#throughput.stalled()
    this.#tellPrefetch()
    const { inPool, before } = this.#line.takeStuck(now)
    for (const run of inPool) this.#options.pool.takeBack(run.runId)
    for (const run of before) void this.#settle(run, Outcome.returned())
  }

  #tellPrefetch(): void {
    const prefetch = this.#throughput.prefetch(this.#settlingCount) + this.#due.size
    if (prefetch === this.#prefetch) return
    this.#prefetch = prefetch
    this.#options.onPrefetch(prefetch)
  }

  #becomeIdle(): void {
    this.#ticker?.cancel()
    this.#ticker = undefined
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #forgetWaiting(run: Run): void {
    if (run.phase === 'due') this.#due.remove(run)
    else this.#line.remove(run)
  }
}

/** For a run whose task is gone from the registry: cannot be, since only known tasks are run. */
const fallbackPolicy: TaskPolicy = { retry: undefined, acksLate: true, ignoreResult: false, resultExpiresMs: undefined }

const deliveredLater = 'It stays with this worker until that stops, and is then delivered again'

function progressText(progress: ProgressDocument): string {
  return JSON.stringify(progress)
}

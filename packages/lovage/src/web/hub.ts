/**
 * What all viewers of one process share: one watch of the store per task, however many look at it, and frames of 100 ms
 * in which the changes of all tasks are handed to those who follow them. Who follows what is asked once per frame.
 *
 * A topic: watched (has subscriptions) → idle (has none, for a minute, so that one who comes back misses nothing)
 * → gone. A ready task's topic is no longer watched: nothing follows.
 */
import { randomBytes } from 'node:crypto'
import type { AppInternals } from '../app/internals.ts'
import type { Backend } from '../backend.ts'
import type { Timer } from '../core/clock.ts'
import type { StoredState } from '../core/record.ts'
import { isNewer, isReadyState } from '../core/states.ts'
import type { Permission, RemainingTime } from './contract.ts'
import { QueueWatch } from './queue-info.ts'
import { measureOnce, toRemaining, Topic } from './topic.ts'
import type { TextFacts } from './topic.ts'
import { UsualTimes } from './usual-times.ts'
import type { WebLimits } from './web-limits.ts'

/** One viewer's interest in one task. */
export interface Subscription {
  readonly viewer: Viewer
}

export interface Viewer {
  /** What changed of what this viewer follows; `frame` names it. */
  flush(frame: number, changed: readonly Subscription[]): void
  /** About once a second. */
  tick(): void
}

export type TaskTopic = Topic<Subscription>

const tickMs = 1000
/** After a watch ended, or could not begin. */
const rewatchMs = 500

export class Hub {
  /** Names this process and its present run: a frame's number means nothing elsewhere. */
  readonly epoch: string = randomBytes(6).toString('hex')
  readonly queues: QueueWatch
  readonly #app: AppInternals
  readonly #limits: WebLimits
  readonly #usual: UsualTimes
  readonly #topics = new Map<string, TaskTopic>()
  readonly #viewers = new Set<Viewer>()
  readonly #dirty = new Set<TaskTopic>()
  #frame = 0
  #flushedAt = -Infinity
  #flushTimer: Timer | undefined
  #ticker: Timer | undefined

  constructor(app: AppInternals, limits: WebLimits) {
    this.#app = app
    this.#limits = limits
    const backend = (): Promise<Backend> => app.backend()
    this.queues = new QueueWatch(backend, () => app.clock.monotonic())
    this.#usual = new UsualTimes(backend)
  }

  /** The last frame that was handed out. */
  get frame(): number {
    return this.#frame
  }

  get topicCount(): number {
    return this.#topics.size
  }

  get viewerCount(): number {
    return this.#viewers.size
  }

  addViewer(viewer: Viewer): void {
    this.#viewers.add(viewer)
    this.#ticker ??= this.#app.clock.every(tickMs, () => this.#tick())
  }

  removeViewer(viewer: Viewer): void {
    this.#viewers.delete(viewer)
  }

  /** The newest state seen here, when the task is watched. */
  peek(id: string): StoredState | undefined {
    return this.#topics.get(id)?.state
  }

  /** Follows a task from `state` on, which was just read. */
  subscribe(id: string, state: StoredState | undefined, subscription: Subscription): TaskTopic {
    const topic = this.#topics.get(id) ?? this.#create(id)
    topic.subscriptions.add(subscription)
    topic.idleSince = undefined
    // whoever subscribes tells the state it brought; all others are told what is newer than what they have
    if (topic.state === undefined && state !== undefined) this.#adopt(topic, state)
    else if (state !== undefined) this.#offer(topic, state)
    return topic
  }

  unsubscribe(topic: TaskTopic, subscription: Subscription): void {
    topic.subscriptions.delete(subscription)
    if (topic.subscriptions.size === 0) topic.idleSince ??= this.#app.clock.monotonic()
  }

  /** The id of an event of a frame; a client gives it back to say how far it came. */
  eventId(frame: number): string {
    return `${this.epoch}-${frame}`
  }

  /** The frame of an event id of this process; undefined: not ours, or no event id at all. */
  frameOf(eventId: string | undefined): number | undefined {
    const [, epoch, number] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(eventId ?? '') ?? []
    return epoch === this.epoch && Number(number) <= this.#frame ? Number(number) : undefined
  }

  /** Of a topic that has a state: its snapshot as JSON without the opening brace. */
  textOf(topic: TaskTopic, allow: readonly Permission[]): string {
    const now = this.#app.clock.monotonic()
    return topic.textFor(allow, () => this.#factsOf(topic, now), now)
  }

  /** What is known of a task's name and pace here; for one look. */
  detailsOf(state: StoredState): Omit<TextFacts, 'now'> {
    const now = this.#app.clock.now()
    const topic = this.#topics.get(state.id)
    return {
      ...this.#optionsOf(state),
      remaining: this.#remaining(state, topic?.measuredMs(now) ?? measureOnce(state, now)),
    }
  }

  /** Ends all watches. Viewers are their owners' to close first. */
  async stop(): Promise<void> {
    this.#flushTimer?.cancel()
    this.#ticker?.cancel()
    this.#flushTimer = undefined
    this.#ticker = undefined
    for (const topic of this.#topics.values()) topic.unwatch?.()
    this.#topics.clear()
    this.#dirty.clear()
    await this.queues.stop()
  }

  #create(id: string): TaskTopic {
    // a frame of its own: whoever came only as far as the one before has not seen it
    const topic: TaskTopic = new Topic(id, ++this.#frame)
    this.#topics.set(id, topic)
    void this.#watch(topic)
    return topic
  }

  async #watch(topic: TaskTopic): Promise<void> {
    const isWanted = (): boolean => this.#topics.get(topic.id) === topic && !isReadyState(topic.state?.state ?? '')
    const again = (): void => {
      topic.unwatch = undefined
      this.#app.clock.after(rewatchMs, () => void (isWanted() && this.#watch(topic)), { ref: false })
    }
    try {
      const { results } = await this.#app.backend()
      if (!isWanted()) return
      const end = await results.watch([topic.id], { onState: state => this.#offer(topic, state), onEnd: again })
      if (isWanted()) topic.unwatch = end
      else end()
    } catch {
      again()
    }
  }

  #offer(topic: TaskTopic, state: StoredState): void {
    if (!isNewer(state, topic.state)) return
    this.#adopt(topic, state)
    this.#mark(topic)
  }

  #adopt(topic: TaskTopic, state: StoredState): void {
    topic.take(state)
    if (state.state === 'PENDING') void this.#askQueue(topic, state)
    if (!isReadyState(state.state)) return
    topic.unwatch?.()
    topic.unwatch = undefined
  }

  async #askQueue(topic: TaskTopic, state: StoredState): Promise<void> {
    const queue = await this.queues.infoOf(state)
    const { workers, position } = topic.queue ?? {}
    if (queue === undefined || topic.state !== state) return
    if (queue.workers === workers && queue.position === position) return
    topic.takeQueue(queue)
    this.#mark(topic)
  }

  #mark(topic: TaskTopic): void {
    topic.changedFrame = Infinity
    this.#dirty.add(topic)
    if (this.#flushTimer !== undefined) return
    const { clock } = this.#app
    const dueMs = Math.max(0, this.#flushedAt + this.#limits.frameMs - clock.monotonic())
    this.#flushTimer = clock.after(dueMs, () => this.#flush(), { ref: false })
  }

  #flush(): void {
    this.#flushTimer = undefined
    this.#flushedAt = this.#app.clock.monotonic()
    const frame = ++this.#frame
    const changes = new Map<Viewer, Subscription[]>()
    for (const topic of this.#dirty) {
      topic.changedFrame = frame
      for (const subscription of topic.subscriptions) {
        const changed = changes.get(subscription.viewer)
        if (changed === undefined) changes.set(subscription.viewer, [subscription])
        else changed.push(subscription)
      }
    }
    this.#dirty.clear()
    for (const [viewer, changed] of changes) viewer.flush(frame, changed)
  }

  #tick(): void {
    for (const viewer of this.#viewers) viewer.tick()
    const now = this.#app.clock.monotonic()
    for (const topic of this.#topics.values()) {
      if (topic.idleSince !== undefined && now - topic.idleSince >= this.#limits.lingerMs) this.#drop(topic)
      else if (topic.state?.state === 'PENDING' && topic.idleSince === undefined)
        void this.#askQueue(topic, topic.state)
    }
    if (this.#viewers.size > 0 || this.#topics.size > 0) return
    this.#ticker?.cancel()
    this.#ticker = undefined
    void this.queues.stop()
  }

  #drop(topic: TaskTopic): void {
    this.#topics.delete(topic.id)
    this.#dirty.delete(topic)
    topic.unwatch?.()
    topic.unwatch = undefined
  }

  #factsOf(topic: TaskTopic, now: number): TextFacts {
    const { state } = topic
    if (state === undefined) return { now }
    const remaining = this.#remaining(state, topic.measuredMs(this.#app.clock.now()))
    return { ...this.#optionsOf(state), remaining, now }
  }

  #optionsOf({ facts }: StoredState): Pick<TextFacts, 'title' | 'isResultPrivate'> {
    const options = facts.name === undefined ? undefined : this.#app.tasks.get(facts.name)?.options
    return { title: options?.title, isResultPrivate: options?.isResultPrivate }
  }

  #remaining(state: StoredState, measured: number | undefined): RemainingTime | undefined {
    const { name } = state.facts
    const { startedAt } = state
    const isRunning = startedAt !== undefined && !isReadyState(state.state) && state.state !== 'RETRY'
    if (!isRunning) return undefined
    return toRemaining(measured, () =>
      name === undefined ? undefined : this.#usual.remainingMs(name, startedAt, this.#app.clock.now()),
    )
  }
}

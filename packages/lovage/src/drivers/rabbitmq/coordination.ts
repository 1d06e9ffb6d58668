/** The coordination half: the control stream's state, asked and followed. */
import type { Coordination, KeyChange, Lease } from '../../coordination.ts'
import { IllegalStateError } from '../../core/errors.ts'
import { queuePrefix } from '../../core/keys.ts'
import { ControlLog } from './control-log.ts'
import type { ControlAnswer, ControlOp } from './control-state.ts'
import { callListener } from './link.ts'
import type { RabbitSession } from './session.ts'

/** A queue that nobody declared for so long is not listed any more. */
const queueKeptMs = 30 * 86_400_000
/** A tenth of a lease is not trusted: clocks and timers are not exact. */
const trustedShare = 0.9

export class RabbitCoordination implements Coordination {
  readonly #session: RabbitSession
  readonly #log: ControlLog
  readonly #watchers = new Set<{ readonly prefix: string; readonly onChange: (change: KeyChange) => void }>()
  #isClosed = false

  constructor(session: RabbitSession) {
    this.#session = session
    this.#log = new ControlLog(session, changes => this.#tell(changes))
  }

  async open(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    this.#assertOpen()
    await this.#session.open(options)
    await this.#log.open()
  }

  async putIfAbsent(key: string, value: string, ttlMs: number): Promise<string | undefined> {
    const answer = await this.#append({ op: 'putIfAbsent', key, value, ttlMs })
    return typeof answer === 'string' ? answer : undefined
  }

  async put(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#append({ op: 'put', key, value, ttlMs })
  }

  async get(key: string): Promise<string | undefined> {
    await this.#readAll()
    return this.#log.get(key)
  }

  async delete(key: string): Promise<void> {
    await this.#append({ op: 'delete', key })
  }

  async list(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]> {
    await this.#readAll()
    return this.#living(prefix)
  }

  async watchKeys(prefix: string, onChange: (change: KeyChange) => void): Promise<() => void> {
    await this.#readAll()
    const watcher = { prefix, onChange }
    this.#watchers.add(watcher)
    for (const change of this.#living(prefix)) onChange(change)
    return () => void this.#watchers.delete(watcher)
  }

  async lease(name: string, holder: string, ttlMs: number): Promise<Lease | undefined> {
    const trustedUntil = this.#session.consuming.clock.monotonic() + ttlMs * trustedShare
    const token = await this.#append({ op: 'lease', name, holder, ttlMs })
    return typeof token === 'number' ? { token, trustedUntil } : undefined
  }

  async release(name: string, holder: string): Promise<void> {
    await this.#append({ op: 'release', name, holder })
  }

  async take(key: string, n: number, perMs: number): Promise<number> {
    const waitMs = await this.#append({ op: 'take', key, n, perMs })
    return typeof waitMs === 'number' ? waitMs : perMs / n
  }

  /** Writes down that there is such a queue. */
  async note(queue: string): Promise<void> {
    this.#assertOpen()
    await this.#log.open()
    if (this.#log.get(queuePrefix + queue) === undefined) await this.put(queuePrefix + queue, '', queueKeptMs)
  }

  /** The queues that were written down. */
  async queues(): Promise<readonly string[]> {
    return (await this.list(queuePrefix)).map(({ key }) => key.slice(queuePrefix.length))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#watchers.clear()
    await this.#log.close()
  }

  async #append(op: ControlOp): Promise<ControlAnswer> {
    this.#assertOpen()
    await this.#log.open()
    return await this.#log.append(op)
  }

  async #readAll(): Promise<void> {
    this.#assertOpen()
    await this.#log.open()
    await this.#log.fence()
  }

  #living(prefix: string): readonly { readonly key: string; readonly value: string }[] {
    return this.#log
      .keys()
      .filter(({ key }) => key.startsWith(prefix))
      .map(({ key, value }) => ({ key, value }))
  }

  #tell(changes: readonly KeyChange[]): void {
    for (const change of changes)
      for (const { prefix, onChange } of this.#watchers)
        if (change.key.startsWith(prefix)) callListener(() => onChange(change))
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new IllegalStateError('This coordination is closed')
  }
}

/** What has been revoked, from Coordination: so that neither a restart nor a worker started later forgets it. */
import type { Coordination } from '../coordination.ts'
import { revokePrefix } from '../core/keys.ts'

export interface RevokeRequest {
  readonly terminate: boolean
  readonly reason?: string | undefined
}

/** Heard by this process alone, as Celery's workers hear them: it keeps as many as they do. */
const mostHeard = 50_000
/** Once its task has ended a revoke is kept for copies of the message that are still under way. */
const afterEndMs = 3_600_000

const plain: RevokeRequest = { terminate: false }
const terminating: RevokeRequest = { terminate: true }

export class Revokes {
  /** Those that have a key: of tasks that have not ended, and of the last hour. */
  readonly #byId = new Map<string, RevokeRequest>()
  readonly #heard = new Map<string, RevokeRequest>()
  #coordination: Coordination | undefined
  #end: (() => void) | undefined

  async start(coordination: Coordination, onRevoke: (id: string, request: RevokeRequest) => void): Promise<void> {
    this.#coordination = coordination
    this.#end = await coordination.watchKeys(revokePrefix, ({ key, value }) => {
      const id = key.slice(revokePrefix.length)
      if (value === undefined) return void this.#byId.delete(id)
      const request = readRevoke(value)
      this.#byId.set(id, request)
      onRevoke(id, request)
    })
  }

  /** Revoked by somebody who tells workers only. */
  add(id: string, { terminate }: RevokeRequest): void {
    this.#heard.delete(id)
    this.#heard.set(id, terminate ? terminating : plain)
    const [oldest] = this.#heard.keys()
    if (this.#heard.size > mostHeard && oldest !== undefined) this.#heard.delete(oldest)
  }

  find(id: string): RevokeRequest | undefined {
    return this.#byId.get(id) ?? this.#heard.get(id)
  }

  /** Its task is at its end: nothing waits for the revoke any more. Failing that, the key ends by itself in a week. */
  ended(id: string): void {
    const request = this.#byId.get(id)
    if (request === undefined) return
    this.#coordination?.put(revokePrefix + id, JSON.stringify(request), afterEndMs).catch(() => undefined)
  }

  stop(): void {
    this.#end?.()
    this.#end = undefined
  }
}

/** A value nobody of ours wrote still means: do not run it. */
function readRevoke(value: string): RevokeRequest {
  try {
    const parsed: unknown = JSON.parse(value)
    if (typeof parsed !== 'object' || parsed === null) return plain
    return 'terminate' in parsed && parsed.terminate === true ? terminating : plain
  } catch {
    return plain
  }
}

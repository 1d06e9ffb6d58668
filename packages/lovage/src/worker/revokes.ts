/** What has been revoked, from Coordination: so that neither a restart nor a worker started later forgets it. */
import type { Coordination } from '../coordination.ts'
import { revokePrefix } from '../core/keys.ts'

export interface RevokeRequest {
  readonly terminate: boolean
  readonly reason?: string | undefined
}

export class Revokes {
  readonly #byId = new Map<string, RevokeRequest>()
  #end: (() => void) | undefined

  async start(coordination: Coordination, onRevoke: (id: string, request: RevokeRequest) => void): Promise<void> {
    this.#end = await coordination.watchKeys(revokePrefix, ({ key, value }) => {
      const id = key.slice(revokePrefix.length)
      if (value === undefined) return void this.#byId.delete(id)
      const request = readRevoke(value)
      this.#byId.set(id, request)
      onRevoke(id, request)
    })
  }

  /** Revoked by somebody who tells workers only. */
  add(id: string, request: RevokeRequest): void {
    this.#byId.set(id, request)
  }

  find(id: string): RevokeRequest | undefined {
    return this.#byId.get(id)
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
    if (typeof parsed !== 'object' || parsed === null) return { terminate: false }
    return { terminate: 'terminate' in parsed && parsed.terminate === true }
  } catch {
    return { terminate: false }
  }
}

/** What a worker hears besides deliveries: what is revoked, by us or by Celery, and who works beside it. */
import type { Backend } from '../backend.ts'
import type { Logger } from '../app/types.ts'
import type { Clock } from '../core/clock.ts'
import { coerceError } from '../core/errors.ts'
import { startCeleryControl } from './celery-control.ts'
import { Neighbours } from './neighbours.ts'
import type { WorkerCard } from './presence.ts'
import type { RevokeRequest, Revokes } from './revokes.ts'

export interface ListeningOptions {
  readonly backend: Backend
  readonly card: WorkerCard
  readonly clock: Clock
  readonly logger: Logger
  readonly onRevoke: (id: string, request: RevokeRequest) => void
}

export class Listening {
  readonly #revokes: Revokes
  readonly #ends: (() => Promise<void> | void)[] = []

  constructor(revokes: Revokes) {
    this.#revokes = revokes
  }

  async start({ backend, card, clock, logger, onRevoke }: ListeningOptions): Promise<void> {
    const revokes = this.#revokes
    const tellOf = (what: string) => (error: unknown) => logger.warn(`${what}: ${coerceError(error).message}`)
    this.#ends.push(() => revokes.stop())
    await revokes.start(backend.coordination, onRevoke)
    const onCommand = (id: string, request: RevokeRequest): void => {
      revokes.add(id, request)
      onRevoke(id, request)
    }
    const control = { backend, node: card.node, clock, onRevoke: onCommand, onTrouble: tellOf('revoke') }
    this.#ends.push(await startCeleryControl(control))
    const neighbours = new Neighbours({ backend, card, clock, warn: message => logger.warn(message) })
    this.#ends.push(() => neighbours.stop())
    // it tells of others only: no reason to wait for it, or not to start
    neighbours.start().catch(tellOf('neighbours'))
  }

  /** Ends all of it, whatever refuses to. */
  async stop(): Promise<void> {
    const ended = await Promise.allSettled(this.#ends.splice(0).map(async end => end()))
    const refused = ended.find(({ status }) => status === 'rejected')
    if (refused?.status === 'rejected') throw coerceError(refused.reason)
  }
}

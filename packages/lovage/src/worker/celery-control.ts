/**
 * Celery's remote control, as far as it ends tasks: `app.control.revoke(…)` in Python reaches this worker. Its word is
 * put into Coordination, so that neither a restart nor a worker started later forgets it.
 */
import type { Backend } from '../backend.ts'
import type { Notice } from '../broker.ts'
import type { Clock } from '../core/clock.ts'
import { revokeMs, revokePrefix } from '../core/keys.ts'
import { controlAddress, decodeCommand, encodeAnswer, type ControlCommand } from '../protocol/pidbox.ts'
import type { RevokeRequest } from './revokes.ts'

export interface CeleryControlOptions {
  readonly backend: Backend
  /** This worker's node name. */
  readonly node: string
  readonly clock: Clock
  readonly onRevoke: (id: string, request: RevokeRequest) => void
  /** A command was heeded here, and could not be kept or answered. */
  readonly onTrouble: (error: unknown) => void
}

/** Listens until the function it resolves to is called. */
export function startCeleryControl(options: CeleryControlOptions): Promise<() => Promise<void>> {
  const { backend, onTrouble } = options
  return backend.broker.listen(controlAddress, notice => void heed(notice, options).catch(onTrouble))
}

/** A running task is told without `terminate` too: Celery would let it run. */
async function heed({ message }: Notice, { backend, node, clock, onRevoke }: CeleryControlOptions): Promise<void> {
  const now = clock.now()
  const command = decodeCommand(message, node, now)
  const request = command && revokeOf(command)
  if (command === undefined || request === undefined) return
  const { ids, terminate } = request
  for (const id of ids) onRevoke(id, { terminate })
  const { answerTo } = command
  const value = JSON.stringify({ terminate, at: now })
  await Promise.all([
    ...ids.map(id => backend.coordination.put(revokePrefix + id, value, revokeMs)),
    answerTo && backend.broker.send(answerTo.address, encodeAnswer(node, answerTo.ticket, answerOf(ids))),
  ])
}

/** Undefined: it is another command. */
function revokeOf({ method, args }: ControlCommand): { ids: readonly string[]; terminate: boolean } | undefined {
  if (method !== 'revoke' && method !== 'terminate') return undefined
  const given = args['task_id']
  const ids = (Array.isArray(given) ? given : [given]).filter(each => typeof each === 'string')
  return { ids, terminate: method === 'terminate' || args['terminate'] === true }
}

/** Celery's words, a Python set among them. */
function answerOf(ids: readonly string[]): { readonly ok: string } {
  return { ok: `tasks {${ids.map(id => `'${id}'`).join(', ')}} flagged as revoked` }
}

/**
 * Idempotency keys. A key is claimed before the message is sent and marked `sent` after. A claim that stays unmarked was
 * left by a process that died in between, or whose publish has an unknown end: after 30 s the next caller sends the task
 * under the claimed id, so that it is rather sent twice than never.
 */
import type { Coordination } from '../coordination.ts'
import { PublishError } from '../core/errors.ts'
import type { AppState } from './app-state.ts'
import { dueTimes } from './apply-options.ts'
import { callId, publishCalls } from './publish.ts'
import type { Call } from './publish.ts'

interface Claim {
  readonly id: string
  readonly isSent: boolean
  /** Epoch milliseconds; 0: nobody is at it. */
  readonly at: number
}

const claimMs = 30_000

/** Sends the call, unless its key has been used: then gives the first one's id. */
export async function publishOnce(
  app: AppState,
  call: Call,
  idempotencyKey: string,
): Promise<{ readonly id: string; readonly deduplicated: boolean }> {
  const { coordination } = await app.backend()
  const now = app.clock.now()
  const key = `idempotency/${call.name}/${idempotencyKey}`
  const fresh: Claim = { id: callId(app, call.options), isSent: false, at: now }
  const ttlMs = timeToLiveMs(app, call, now)
  const found = await coordination.putIfAbsent(key, JSON.stringify(fresh), ttlMs)
  const standing = found === undefined ? undefined : readClaim(found)
  if (standing !== undefined && (standing.isSent || now - standing.at < claimMs))
    return { id: standing.id, deduplicated: true }
  const claim = { ...fresh, id: standing?.id ?? fresh.id }
  if (standing !== undefined) await coordination.put(key, JSON.stringify(claim), ttlMs)
  await publishClaimed(app, { ...call, id: claim.id }, { coordination, key, ttlMs, claim })
  return { id: claim.id, deduplicated: false }
}

interface HeldClaim {
  readonly coordination: Coordination
  readonly key: string
  readonly ttlMs: number
  readonly claim: Claim
}

async function publishClaimed(
  app: AppState,
  call: Call,
  { coordination, key, ttlMs, claim }: HeldClaim,
): Promise<void> {
  try {
    await publishCalls(app, [call])
  } catch (error) {
    // certainly not sent: the key is free again; perhaps sent: the next caller need not wait
    if (!(error instanceof PublishError) || error.accepted === 'no') await coordination.delete(key)
    else await coordination.put(key, JSON.stringify({ ...claim, at: 0 }), ttlMs)
    throw error
  }
  await coordination.put(key, JSON.stringify({ ...claim, isSent: true }), ttlMs)
}

/** As long as the result is kept, which begins when the task is due at the earliest. */
function timeToLiveMs(app: AppState, call: Call, now: number): number {
  const keepMs = call.definition?.options.resultExpiresMs ?? app.config.resultExpiresMs.value
  return keepMs + Math.max(0, (dueTimes(call.options, now).etaAt ?? now) - now)
}

function readClaim(value: string): Claim {
  return JSON.parse(value) as Claim
}

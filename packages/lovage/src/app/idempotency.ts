/**
 * Idempotency keys. A key is claimed before the message is sent and marked `sent` after. Who finds a claim that is not
 * marked waits: whoever holds it marks it, or frees the key because the call was refused. A claim that stays as it is was
 * left by a process that died in between, or whose publish has an unknown end: after 10 s the next caller sends the task
 * under the claimed id, so that it is rather sent twice than never.
 */
import type { Backend } from '../backend.ts'
import { sleep } from '../core/clock.ts'
import { PublishError } from '../core/errors.ts'
import type { AppState } from './app-state.ts'
import { dueTimes } from './apply-options.ts'
import { callId, publishDrafts, toPublication } from './publish.ts'
import type { Call } from './publish.ts'

interface Claim {
  readonly id: string
  readonly isSent: boolean
  /** Epoch milliseconds; 0: nobody is at it. */
  readonly at: number
}

interface FoundClaim extends Claim {
  /** Nobody has sent under it yet, nor tried to. */
  readonly isFresh: boolean
}

/** Longer than a publish takes. */
const claimMs = 10_000

/** Sends the call, unless its key has been used: then gives the first one's id. */
export async function publishOnce(
  app: AppState,
  call: Call,
  idempotencyKey: string,
): Promise<{ readonly id: string; readonly deduplicated: boolean }> {
  call.options.signal?.throwIfAborted()
  const id = callId(app, call.options)
  const draft = toPublication(app, { ...call, id })
  const backend = await app.backend()
  const key = keyOf(app, call, idempotencyKey)
  const place = { backend, key, ttlMs: timeToLiveMs(app, call, app.clock.now()), signal: call.options.signal }
  const claim = await claimKey(app, id, place)
  if (claim.isSent) return { id: claim.id, deduplicated: true }
  const claimed = { ...call, id: claim.id }
  await publishClaimed(claim, place, () =>
    publishDrafts(app, [claimed], [claim.id === id ? draft : toPublication(app, claimed)]),
  )
  return { id: claim.id, deduplicated: false }
}

/** The app's name is in it: apps may share coordination, as on one virtual host, and not know of each other's tasks. */
function keyOf(app: AppState, call: Call, idempotencyKey: string): string {
  return `idempotency/${encodeURIComponent(app.name)}/${encodeURIComponent(call.name)}/${idempotencyKey}`
}

interface Place {
  readonly backend: Backend
  readonly key: string
  readonly ttlMs: number
  readonly signal: AbortSignal | undefined
}

/** The claim that stands in the end: this caller's, or one that was sent. @throws `signal.reason` while it waits. */
async function claimKey(app: AppState, id: string, place: Place): Promise<FoundClaim> {
  const { backend, key, ttlMs } = place
  for (;;) {
    const own: Claim = { id, isSent: false, at: app.clock.now() }
    const found = await backend.coordination.putIfAbsent(key, JSON.stringify(own), ttlMs)
    if (found === undefined) return { ...own, isFresh: true }
    const standing = readClaim(found)
    // its record came with the message
    if (standing.isSent || (await backend.results.get(standing.id)).kind === 'state')
      return { ...standing, isSent: true, isFresh: false }
    const leftMs = Math.min(standing.at + claimMs - own.at, claimMs)
    if (leftMs > 0) await changeOf(app, place, { found, leftMs })
    else {
      const taken = { ...own, id: standing.id }
      await backend.coordination.put(key, JSON.stringify(taken), ttlMs)
      return { ...taken, isFresh: false }
    }
  }
}

/** Until the key holds something else, for `leftMs` at most. */
async function changeOf(
  app: AppState,
  { backend, key, signal }: Place,
  { found, leftMs }: { readonly found: string; readonly leftMs: number },
): Promise<void> {
  const { promise: changed, resolve: onChange } = Promise.withResolvers<void>()
  const ended = new AbortController()
  const endWatch = await backend.coordination.watchKeys(key, change => {
    if (change.key === key && change.value !== found) onChange()
  })
  const limit = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal])
  try {
    // a key that was freed before the watch began is not told of
    if ((await backend.coordination.get(key)) !== found) return
    await Promise.race([changed, sleep(app.clock, leftMs, limit)])
  } finally {
    ended.abort()
    endWatch()
  }
}

/** Publishes, and says of the claim what became of it. */
async function publishClaimed(
  { isFresh, ...claim }: FoundClaim,
  place: Place,
  publish: () => Promise<unknown>,
): Promise<void> {
  const { backend, key, ttlMs } = place
  const mark = (changed: Claim): Promise<void> => backend.coordination.put(key, JSON.stringify(changed), ttlMs)
  try {
    await publish()
  } catch (error) {
    // certainly not sent: the key is free again; perhaps sent, as when the caller stopped waiting, or another one before:
    // the next one need not wait
    const isUnsent = isFresh && error instanceof PublishError && error.accepted === 'no'
    await (isUnsent ? free(place, claim) : mark({ ...claim, at: 0 })).catch(() => undefined)
    throw error
  }
  await mark({ ...claim, isSent: true })
}

/** Unless another one has taken the claim over meanwhile. */
async function free({ backend: { coordination }, key }: Place, claim: Claim): Promise<void> {
  if ((await coordination.get(key)) === JSON.stringify(claim)) await coordination.delete(key)
}

/** As long as the result is kept, which begins when the task is due at the earliest. */
function timeToLiveMs(app: AppState, call: Call, now: number): number {
  const keepMs = call.definition?.options.resultExpiresMs ?? app.config.resultExpiresMs.value
  return keepMs + Math.max(0, (dueTimes(call.options, now).etaAt ?? now) - now)
}

function readClaim(value: string): Claim {
  return JSON.parse(value) as Claim
}

/**
 * Runs and their ends on the way between the two sides: flat lists of primitives, because a run as an object with its
 * message takes ten times as long to clone (3.2 µs against 0.3, measured).
 * What is rare travels as an object.
 */
import type { WireMessage } from '../core/wire.ts'
import type { HandOver, RunEnd } from './messages.ts'
import type { RunDetails, RunRequest, RunResult } from './pool.ts'

/** For each run: runId, claim, id, name, queue, redelivered, body, what is rare (or undefined). */
export type PackedRuns = readonly unknown[]
const runWidth = 8

/** For each end: runId, and the JSON text of what the task returned or any other result. */
export type PackedEnds = readonly (number | string | RunResult)[]

/** What most runs do not have. */
interface Rare {
  readonly contentType: string
  readonly compression: unknown
  readonly details: RunDetails
  readonly softLimitMs: number | undefined
  readonly hardLimitMs: number | undefined
  readonly isolated: boolean | undefined
}

export function packRuns(runs: readonly HandOver[]): PackedRuns {
  const packed: unknown[] = []
  for (const { request, claim } of runs) {
    const { runId, id, name, queue, redelivered, message } = request
    packed.push(runId, claim, id, name, queue, redelivered, message.body, rareOf(request))
  }
  return packed
}

export function unpackRuns(packed: PackedRuns): HandOver[] {
  const runs: HandOver[] = []
  for (let at = 0; at < packed.length; at += runWidth) {
    const id = packed[at + 2] as string
    const rare = packed[at + 7] as Rare | undefined
    const request: RunRequest = {
      runId: packed[at] as number,
      id,
      name: packed[at + 3] as string,
      queue: packed[at + 4] as string,
      redelivered: packed[at + 5] as boolean,
      message: bodyOnly(packed[at + 6] as WireMessage['body'], rare),
      details: rare?.details ?? { retries: 0, rootId: id, headers: {} },
      softLimitMs: rare?.softLimitMs,
      hardLimitMs: rare?.hardLimitMs,
      isolated: rare?.isolated,
    }
    runs.push({ request, claim: packed[at + 1] as number })
  }
  return runs
}

export function packEnds(ends: readonly RunEnd[]): PackedEnds {
  const packed: (number | string | RunResult)[] = []
  for (const { runId, result } of ends) packed.push(runId, result.kind === 'returned' ? result.value : result)
  return packed
}

export function unpackEnds(packed: PackedEnds): RunEnd[] {
  const ends: RunEnd[] = []
  for (let at = 0; at < packed.length; at += 2) {
    const result = packed[at + 1] as string | RunResult
    ends.push({
      runId: packed[at] as number,
      result: typeof result === 'string' ? { kind: 'returned', value: result } : result,
    })
  }
  return ends
}

const json = 'application/json'

function rareOf(request: RunRequest): Rare | undefined {
  const { id, message, details, softLimitMs, hardLimitMs, isolated } = request
  const { contentType } = message.properties
  const { compression } = message.headers
  const isPlain =
    contentType === json &&
    typeof compression !== 'string' &&
    softLimitMs === undefined &&
    hardLimitMs === undefined &&
    isolated !== true &&
    saysNothing(details, id)
  return isPlain
    ? undefined
    : { contentType, compression, details: ownDetails(details), softLimitMs, hardLimitMs, isolated }
}

/** The message of a first attempt that no task sent. */
function saysNothing({ retries, rootId, parentId, etaAt, expiresAt, headers }: RunDetails, id: string): boolean {
  if (retries !== 0 || rootId !== id) return false
  return parentId === undefined && etaAt === undefined && expiresAt === undefined && Object.keys(headers).length === 0
}

/** Not what else the object holds that it was given as. */
function ownDetails({ retries, rootId, parentId, etaAt, expiresAt, headers }: RunDetails): RunDetails {
  return { retries, rootId, parentId, etaAt, expiresAt, headers }
}

function bodyOnly(body: WireMessage['body'], rare: Rare | undefined): WireMessage {
  const headers = rare?.compression === undefined ? {} : { compression: rare.compression }
  return { properties: { contentType: rare?.contentType ?? json, contentEncoding: 'utf-8' }, headers, body }
}

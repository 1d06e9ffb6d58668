/** What is taken from a request, with limits; and the proof that it comes from a page of ours. */
import type { ProblemCode } from './contract.ts'

/** A request that is refused before anything is looked up. */
export class RequestProblem extends Error {
  readonly code: ProblemCode
  constructor(code: ProblemCode, message: string) {
    super(message)
    this.code = code
  }
}

/** The JSON object of the body; `{}` for none. @throws {RequestProblem} */
export async function readJsonObject(request: Request, maxBytes: number): Promise<Readonly<Record<string, unknown>>> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new RequestProblem('unsupported-media-type', 'Send JSON with Content-Type: application/json')
  const text = await readText(request, maxBytes)
  const value = parse(text === '' ? '{}' : text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new RequestProblem('bad-request', 'The body is no JSON object')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RequestProblem('bad-request', 'The body is no JSON')
  }
}

/** Not more is read than is allowed, whatever the headers say. */
async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = new RequestProblem('too-large', `The body is larger than ${maxBytes} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength
    if (size > maxBytes) throw tooLarge
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

export function bearerOf(request: Request): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(request.headers.get('authorization') ?? '')?.[1]
}

/**
 * Whether a browser says that a page of this origin sent it. A request that says nothing of where it comes from, but
 * may carry cookies, proves nothing.
 */
export function isSameOrigin(request: Request): boolean {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null) return site === 'same-origin'
  const origin = request.headers.get('origin')
  const host = request.headers.get('host') ?? new URL(request.url).host
  return origin !== null && URL.canParse(origin) && new URL(origin).host === host
}

/** `Prefer: wait=25` in milliseconds; undefined: not asked for. */
export function waitOf(request: Request, longestMs: number): number | undefined {
  const seconds = /(?:^|[,;\s])wait=(\d{1,9})(?:$|[,;\s])/i.exec(request.headers.get('prefer') ?? '')?.[1]
  return seconds === undefined ? undefined : Math.min(Number(seconds) * 1000, longestMs)
}

/** As `If-None-Match` compares: weakly. */
export function matchesEtag(request: Request, etag: string): boolean {
  const wanted = request.headers.get('if-none-match')
  if (wanted === null) return false
  return wanted.split(',').some(each => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag)
}

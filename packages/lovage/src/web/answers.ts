/** What the routes answer with, and the headers that every answer has. */
import type { ProblemBody, ProblemCode } from './contract.ts'

const statuses: Readonly<Record<ProblemCode, number>> = {
  'bad-request': 400,
  'cross-site': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  expired: 410,
  'too-large': 413,
  'unsupported-media-type': 415,
  'too-many': 429,
  unavailable: 503,
}

/** `text` is for the developer who looks at the network panel. */
export function problem(code: ProblemCode, text: string, headers: Readonly<Record<string, string>> = {}): Response {
  const body: ProblemBody = { error: { code, text } }
  return jsonResponse(statuses[code], JSON.stringify(body), headers)
}

/** Of what does not exist, and of what this request may not see: there is no telling which. */
export function notFound(): Response {
  return problem('not-found', 'There is no such task here, or it has expired, or this request may not see it')
}

export function jsonResponse(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(text, {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers },
  })
}

const securityHeaders: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"],
  ['referrer-policy', 'no-referrer'],
  ['x-frame-options', 'DENY'],
  ['cross-origin-resource-policy', 'same-origin'],
]

/** In place. */
export function secured(response: Response): Response {
  for (const [name, value] of securityHeaders) response.headers.set(name, value)
  if (!response.headers.has('cache-control')) response.headers.set('cache-control', 'no-store')
  return response
}

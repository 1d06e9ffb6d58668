/** A posted form, from this site's own pages, and not a large one. */
import type { IncomingMessage } from 'node:http'

export class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  /** @param message is shown to whoever asked. */
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

const mostBytes = 16 * 1024
/** What is too large is read to its end and thrown away, so that the answer arrives; beyond this the line is cut. */
const mostDiscardedBytes = 64 * 1024 * 1024

/** @throws {Refusal} 403 from another site, 413 too large, 415 no form, 400 not readable as one. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers['content-type'] ?? ''
  const problem = refusalOf(request, type)
  const body = await readBody(request)
  if (problem !== undefined) throw problem
  if (/^application\/x-www-form-urlencoded/i.test(type)) return new URLSearchParams(body.toString())
  try {
    const form = await new Response(Uint8Array.from(body), { headers: { 'content-type': type } }).formData()
    return new URLSearchParams([...form].map(([name, value]) => [name, typeof value === 'string' ? value : '']))
  } catch {
    throw new Refusal(400, 'The form cannot be read')
  }
}

function refusalOf(request: IncomingMessage, type: string): Refusal | undefined {
  const { host, origin, 'sec-fetch-site': site = 'same-origin' } = request.headers
  if (!['same-origin', 'none'].includes(String(site)) || (origin !== undefined && hostOf(origin) !== host))
    return new Refusal(403, 'Only the forms of this site are taken')
  if (!/^(application\/x-www-form-urlencoded|multipart\/form-data)\b/i.test(type))
    return new Refusal(415, 'Expected a form: application/x-www-form-urlencoded or multipart/form-data')
  return undefined
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > mostDiscardedBytes) request.destroy()
    if (size <= mostBytes) chunks.push(chunk)
  }
  if (size > mostBytes) throw new Refusal(413, `The form is larger than ${String(mostBytes)} bytes`)
  return Buffer.concat(chunks)
}

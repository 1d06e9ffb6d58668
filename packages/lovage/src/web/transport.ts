/**
 * What an adapter and the routes tell each other beside the request and the response: who the client is, and that a
 * stream may be written straight to its socket. Marks on the objects, found through `Symbol.for`.
 */
import type { Stream } from './sse.ts'

const transportKey: unique symbol = Symbol.for('lovage.web.transport') as never
const streamKey: unique symbol = Symbol.for('lovage.web.stream') as never

export interface Transport {
  /** The client's network address; undefined: it is this machine, or not known. */
  readonly address: string | undefined
}

export function setTransport(request: Request, transport: Transport): void {
  Object.defineProperty(request, transportKey, { value: transport })
}

/** Undefined: an adapter of somebody else's. */
export function transportOf(request: Request): Transport | undefined {
  return (request as { readonly [transportKey]?: Transport })[transportKey]
}

/** The response has no body: the stream is to be attached to the socket. */
export function setStream(response: Response, stream: Stream): void {
  Object.defineProperty(response, streamKey, { value: stream })
}

export function streamOf(response: Response): Stream | undefined {
  return (response as { readonly [streamKey]?: Stream })[streamKey]
}

/** What drivers carry: bytes and headers. What they mean is `protocol/`'s business. */

/** AMQP's message properties, the ones Celery uses. */
export interface MessageProperties {
  /** `application/json`, … */
  readonly contentType: string
  /** `utf-8` or `binary`; compression is a header. */
  readonly contentEncoding: string
  /** The task id. */
  readonly correlationId?: string | undefined
  /** The queue a foreign client wants its results in. */
  readonly replyTo?: string | undefined
  /** 0–9, 9 first. */
  readonly priority?: number | undefined
  /** 2 = persistent. */
  readonly deliveryMode?: number | undefined
}

export interface WireMessage {
  readonly properties: MessageProperties
  /** JSON values only. */
  readonly headers: Readonly<Record<string, unknown>>
  /** A string stands for its UTF-8 bytes: it is cheaper to hand between threads than a byte array. */
  readonly body: Uint8Array | string
}

export function bodyBytes(body: Uint8Array | string): Uint8Array {
  return typeof body === 'string' ? new TextEncoder().encode(body) : body
}

/** @throws {TypeError} the bytes are no UTF-8. */
export function bodyText(body: Uint8Array | string): string {
  return typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body)
}

/**
 * What everything on one RabbitMQ of one process shares: a connection that publishes and one that consumes, because the
 * broker stops reading from those that publish when it is short of memory, and acknowledgements must not wait for that.
 */
import { hostname } from 'node:os'
import type { Clock } from '../../core/clock.ts'
import { RabbitConnection } from './connection.ts'
import type { Location } from './location.ts'
import { Publisher } from './publisher.ts'

export interface SessionOptions {
  readonly clock?: Clock | undefined
  /** How long a publish may take, reconnects and a blocked broker included. @default 10000 */
  readonly publishTimeoutMs?: number | undefined
}

export class RabbitSession {
  readonly location: Location
  readonly publishing: RabbitConnection
  readonly consuming: RabbitConnection
  readonly publisher: Publisher
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(location: Location, options: SessionOptions = {}) {
    const { clock, publishTimeoutMs } = options
    const owner = `lovage ${process.pid}@${hostname()}`
    this.location = location
    this.publishing = new RabbitConnection({ location, name: `${owner} publishes`, clock })
    this.consuming = new RabbitConnection({ location, name: `${owner} consumes`, clock })
    this.publisher = new Publisher(
      this.publishing,
      publishTimeoutMs === undefined ? {} : { timeoutMs: publishTimeoutMs },
    )
  }

  /** Idempotent. @throws {BrokerConnectionError} */
  open(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    options.signal?.throwIfAborted()
    this.#opening ??= Promise.all([this.publishing.open(options), this.consuming.open(options)]).then(
      () => undefined,
      (error: unknown) => {
        this.#opening = undefined
        throw error
      },
    )
    return this.#opening
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([this.publishing.close(), this.consuming.close()]).then(() => undefined)
    return this.#closing
  }
}

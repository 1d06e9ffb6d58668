/** One live AMQP connection, from its handshake until it is lost. What heals is RabbitConnection; this is what it heals. */
import type { Socket } from 'node:net'
import type { Channel, ChannelModel, ConfirmChannel, Options } from 'amqplib'
import { BrokerConnectionError, coerceError } from '../../core/errors.ts'
import { loadClient } from './client.ts'
import { coalesceWrites } from './coalesced-writes.ts'
import { channelFault, connectFault } from './faults.ts'
import type { Host, Location } from './location.ts'
import { readTlsFiles } from './tls-files.ts'

export interface LinkOptions {
  readonly location: Location
  readonly host: Host
  /** Grows with each link of a connection: what belongs to an older one is void. */
  readonly generation: number
  /** How it is called in the broker's list of connections. */
  readonly name: string
}

export class Link {
  readonly generation: number
  readonly #model: ChannelModel
  #isLost = false
  #isBlocked = false
  readonly #onUnblocked = new Set<() => void>()
  #onLost: (error: Error) => void = () => undefined
  #lastError: Error | undefined

  private constructor(model: ChannelModel, generation: number) {
    this.#model = model
    this.generation = generation
    model.on('error', error => (this.#lastError = error))
    model.on('close', error => this.#lose(error ?? this.#lastError ?? new Error('the connection was closed')))
    model.on('blocked', () => (this.#isBlocked = true))
    model.on('unblocked', () => this.#unblock())
  }

  /**
   * @throws {BrokerConnectionError} saying what to look at.
   * @throws {ConfigurationError} no client library, or a file that the URL names cannot be used.
   */
  static async open(options: LinkOptions): Promise<Link> {
    const { location, host, generation } = options
    const client = await loadClient()
    const socket = await socketOptions(options)
    try {
      const model = await client.connect(urlOptions(location, host), socket)
      tame(model)
      return new Link(model, generation)
    } catch (error) {
      throw connectFault(error, location, host)
    }
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** The broker takes no messages for now: its memory or disk is short. */
  get isBlocked(): boolean {
    return this.#isBlocked
  }

  /** Tells once, perhaps at once, that the broker takes messages, or the link is lost. The function ends the waiting. */
  onUnblocked(listener: () => void): () => void {
    if (!this.#isBlocked || this.#isLost) listener()
    else this.#onUnblocked.add(listener)
    return () => void this.#onUnblocked.delete(listener)
  }

  /** Called once, when it is lost for whatever reason but `close`. */
  onLost(listener: (error: Error) => void): void {
    this.#onLost = listener
  }

  /**
   * @param onClose called once, when the channel ends; with what the broker said, if it was the broker.
   * @throws {BrokerConnectionError} the link was lost.
   */
  async channel(onClose: (error: Error | undefined) => void = () => undefined): Promise<Channel> {
    const channel = await this.#opened(() => this.#model.createChannel())
    watchChannel(channel, onClose)
    return channel
  }

  /** A channel with publisher confirms. @throws {BrokerConnectionError} the link was lost. */
  async confirmChannel(onClose: (error: Error | undefined) => void = () => undefined): Promise<ConfirmChannel> {
    const channel = await this.#opened(() => this.#model.createConfirmChannel())
    watchChannel(channel, onClose)
    return channel
  }

  /**
   * Something to be asked of the broker on a channel of its own, which is gone afterwards.
   * @throws what `channelFault` makes of a refusal.
   */
  async withChannel<T>(what: string, use: (channel: Channel) => Promise<T>): Promise<T> {
    let refusal: Error | undefined
    const channel = await this.channel(error => (refusal = error))
    try {
      const answer = await use(channel)
      await closeChannel(channel)
      return answer
    } catch (error) {
      if (refusal === undefined) await closeChannel(channel)
      throw channelFault(refusal ?? error, what)
    }
  }

  /** Whether it alone keeps the process alive. */
  setRef(keepsAlive: boolean): void {
    const socket = socketOf(this.#model)
    if (keepsAlive) socket?.ref()
    else socket?.unref()
  }

  /** Asks the broker to end it; resolves when it has, or when the socket was torn down by `destroy`. */
  async close(): Promise<void> {
    if (this.#isLost) return
    // the client answers its own close only if the broker does
    const over = new Promise<void>(resolve => (this.#onLost = () => resolve()))
    await Promise.race([over, this.#model.close().catch(() => undefined)])
    this.destroy()
  }

  /** Ends it at once, telling nobody. */
  destroy(): void {
    const reason = new Error('the connection was given up')
    // with an error, or the client goes on waiting for answers on its channels
    socketOf(this.#model)?.destroy(reason)
    this.#lose(reason)
  }

  async #opened<T>(open: () => Promise<T>): Promise<T> {
    try {
      return await open()
    } catch (cause) {
      throw new BrokerConnectionError(`RabbitMQ opened no channel: ${coerceError(cause).message}`, { cause })
    }
  }

  #lose(error: Error): void {
    if (this.#isLost) return
    this.#isLost = true
    // after a missed heartbeat nobody is there who would answer the end of the stream
    socketOf(this.#model)?.destroy()
    stopHeartbeat(this.#model)
    this.#unblock()
    this.#onLost(error)
  }

  #unblock(): void {
    this.#isBlocked = false
    for (const listener of this.#onUnblocked) listener()
    this.#onUnblocked.clear()
  }
}

/** Calls a listener from within a channel: what it throws would end the connection for everybody. It is told as a warning. */
export function callListener(call: () => void): void {
  try {
    call()
  } catch (error) {
    process.emitWarning(coerceError(error))
  }
}

function watchChannel(channel: Channel, onClose: (error: Error | undefined) => void): void {
  let refusal: Error | undefined
  channel.on('error', error => (refusal = coerceError(error)))
  channel.on('close', () => onClose(refusal))
}

/** Resolves when it has ended, by its own closing or because its connection did. The client's promise knows only the first. */
export function closeChannel(channel: Channel): Promise<void> {
  return new Promise(resolve => {
    channel.once('close', () => resolve())
    channel.close().then(resolve, () => resolve())
  })
}

function urlOptions({ vhost, heartbeat, tls }: Location, host: Host): Options.Connect {
  const { hostname, port, username, password } = host
  // the client decodes the vhost once more
  return {
    protocol: tls ? 'amqps' : 'amqp',
    hostname,
    port,
    username,
    password,
    vhost: encodeURIComponent(vhost),
    heartbeat,
  }
}

async function socketOptions({ location, name }: LinkOptions): Promise<Record<string, unknown>> {
  return {
    // a small frame that waits for its neighbour's acknowledgement costs 44 ms
    noDelay: true,
    keepAlive: true,
    timeout: location.connectTimeoutMs,
    clientProperties: { connection_name: name },
    ...(await readTlsFiles(location)),
  }
}

/** What the client keeps to itself, as far as it is used here; all of it may be missing. */
interface Insides {
  readonly stream?: Socket
  readonly heartbeater?: { readonly sendTimer?: NodeJS.Timeout; readonly recvTimer?: NodeJS.Timeout; clear(): void }
}

function insidesOf(model: ChannelModel): Insides {
  return model.connection as Insides
}

function socketOf(model: ChannelModel): Socket | undefined {
  return insidesOf(model).stream
}

function stopHeartbeat(model: ChannelModel): void {
  insidesOf(model).heartbeater?.clear()
}

/** The heartbeat's timers do not keep the process alive: the socket may. */
function tame(model: ChannelModel): void {
  const { stream, heartbeater } = insidesOf(model)
  heartbeater?.sendTimer?.unref()
  heartbeater?.recvTimer?.unref()
  if (stream !== undefined) coalesceWrites(stream)
}

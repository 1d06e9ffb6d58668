/**
 * A TCP proxy on loopback that can misbehave: cut, fall silent without closing anything (a half-open link), refuse, or
 * change what passes.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

export type Direction = 'to-server' | 'to-client'

/** What is passed on in place of a chunk. One filter per connection, so that it may keep what is not whole yet. */
export type Filter = (chunk: Buffer, direction: Direction) => Buffer

export interface ProxyOptions {
  readonly createFilter?: () => Filter
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export class TcpProxy {
  readonly #server: Server
  readonly #targetPort: number
  readonly #createFilter: () => Filter
  readonly #pairs = new Set<Pair>()
  #isSilent = false
  #connectionCount = 0

  constructor(targetPort: number, { createFilter = () => chunk => chunk }: ProxyOptions = {}) {
    this.#targetPort = targetPort
    this.#createFilter = createFilter
    this.#server = createServer(client => this.#accept(client))
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Accepted so far. */
  get connectionCount(): number {
    return this.#connectionCount
  }

  /** Nothing passes any more, no end either; new connections are accepted and hear nothing. */
  silence(): void {
    this.#isSilent = true
    for (const { client, server } of this.#pairs) {
      client.pause()
      server.pause()
    }
  }

  /**
   * The link is back: new connections pass. What was silenced is as dead as after a long time.
   * @param options mute: nobody is told so, as by a firewall that has forgotten them; else they end with a reset
   */
  heal({ mute = false }: { readonly mute?: boolean } = {}): void {
    this.#isSilent = false
    if (!mute) return this.cut()
    for (const { client, server } of this.#pairs) {
      // what either end still says is swallowed, and its end is not passed on
      for (const socket of [client, server]) socket.removeAllListeners('data').removeAllListeners('close').resume()
    }
  }

  /** Ends every connection with a reset. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
    this.#pairs.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.#connectionCount++
    client.on('error', () => undefined)
    const server = connect(this.#targetPort, '127.0.0.1')
    server.on('error', () => client.destroy())
    const pair = { client, server }
    this.#pairs.add(pair)
    const filter = this.#createFilter()
    client.on('data', chunk => void server.write(filter(chunk, 'to-server')))
    server.on('data', chunk => void client.write(filter(chunk, 'to-client')))
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('close', () => {
        if (this.#isSilent) return
        to.destroy()
        this.#pairs.delete(pair)
      })
    }
    if (this.#isSilent) this.silence()
  }
}

/** Connections, shared per process and URL: the last backend that lets go closes. */
import { joinBackend } from '../backend.ts'
import type { Backend, Connection, DriverOptions } from '../backend.ts'
import { isEmbedded, openConnection } from '../drivers/registry.ts'
import { processWide } from './process-wide.ts'

interface Held {
  readonly connection: Connection
  /** Idempotent. */
  readonly release: () => Promise<void>
}

/**
 * An open backend over shared connections; its `close` lets go of them.
 * @throws {ConfigurationError | UnsupportedError | BrokerConnectionError | StorageError}
 */
export async function connectBackend(
  brokerUrl: string,
  resultBackend: string,
  options: DriverOptions,
): Promise<Backend> {
  const transport = await acquire(brokerUrl, options)
  const storage = resultBackend === brokerUrl ? transport : await acquireAfter(transport, resultBackend, options)
  const release = async (): Promise<void> => {
    await transport.release()
    if (storage !== transport) await storage.release()
  }
  const backend = { ...joinBackend(transport.connection, storage.connection), close: release }
  try {
    await backend.open()
  } catch (error) {
    await release()
    throw error
  }
  return backend
}

async function acquireAfter(first: Held, url: string, options: DriverOptions): Promise<Held> {
  try {
    return await acquire(url, options)
  } catch (error) {
    await first.release()
    throw error
  }
}

async function acquire(url: string, options: DriverOptions): Promise<Held> {
  const { connections } = processWide()
  // where a file or this process is the store, all apps share it
  const key = `${url} ${JSON.stringify(isEmbedded(url) ? { ...options, app: undefined } : options)}`
  const shared = connections.get(key) ?? { opening: openConnection(url, options), userCount: 0 }
  connections.set(key, shared)
  shared.userCount++
  const letGo = (): boolean => {
    shared.userCount--
    if (shared.userCount > 0) return false
    if (connections.get(key) === shared) connections.delete(key)
    return true
  }
  try {
    const connection = await shared.opening
    let released: Promise<void> | undefined
    return { connection, release: () => (released ??= letGo() ? connection.close() : Promise.resolve()) }
  } catch (error) {
    letGo()
    throw error
  }
}

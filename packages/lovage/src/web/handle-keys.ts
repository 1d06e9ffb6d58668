/**
 * Where the keys for handles come from: the routes' option, else LOVAGE_SECRET, else a key that the app's own store keeps
 * for every process that shares it. Never one made up per process: its handles would be refused by the next.
 */
import { randomBytes } from 'node:crypto'
import type { AppInternals } from '../app/internals.ts'
import { printOnce } from '../app/process-wide.ts'
import type { Backend } from '../backend.ts'
import { ConfigurationError, IllegalStateError } from '../core/errors.ts'
import { isEmbedded } from '../drivers/registry.ts'
import { toHandleKeys } from './handles.ts'
import type { HandleKey } from './handles.ts'

/** In Coordination. */
const keptSecretKey = 'secret/handles'
/** As good as for ever. */
const keepMs = 10 * 365 * 86_400_000
const shortestSecretBytes = 32

export class HandleKeys {
  readonly #app: AppInternals
  readonly #given: readonly string[] | undefined
  /** Of the app's present backend, where no secret is set; undefined until read. */
  #kept: { readonly backend: Backend; readonly keys: readonly HandleKey[] } | undefined
  #configured: readonly HandleKey[] | undefined

  /** @throws {ConfigurationError} a secret is too short, or none is set where one must be. */
  constructor(app: AppInternals, secret: string | readonly string[] | undefined) {
    this.#app = app
    this.#given = secret === undefined ? undefined : [secret].flat()
    if (this.#given !== undefined) assertSecrets(this.#given, 'taskRoutes(): secret')
    if (isStrict()) this.#readConfigured()
    app.onOpen(backend => this.#load(backend))
  }

  /** What is known now. @throws {IllegalStateError} the key is in the store, and the app was not opened yet. */
  now(): readonly HandleKey[] {
    const keys = this.#readConfigured() ?? this.#kept?.keys
    if (keys !== undefined) return keys
    throw new IllegalStateError(
      'The key for handles is kept in the store, and the app has not been used yet: `await routes.ready()` once before ' +
        'the first handle(), or set LOVAGE_SECRET',
    )
  }

  /** Opens the app when it is not. */
  async load(): Promise<readonly HandleKey[]> {
    const keys = this.#readConfigured()
    if (keys !== undefined) return keys
    const backend = await this.#app.backend()
    await this.#load(backend)
    return this.now()
  }

  async #load(backend: Backend): Promise<void> {
    if (this.#readConfigured() !== undefined || this.#kept?.backend === backend) return
    const fresh = randomBytes(32).toString('base64url')
    const secret = (await backend.coordination.putIfAbsent(keptSecretKey, fresh, keepMs)) ?? fresh
    this.#kept = { backend, keys: toHandleKeys([secret]) }
  }

  /** Undefined: the store's is to be used. @throws {ConfigurationError} */
  #readConfigured(): readonly HandleKey[] | undefined {
    if (this.#configured !== undefined) return this.#configured
    if (this.#given !== undefined) return (this.#configured = toHandleKeys(this.#given))
    const { secret, brokerUrl } = this.#app.config
    if (secret.value.length > 0) {
      assertSecrets(secret.value, secret.source)
      return (this.#configured = toHandleKeys(secret.value))
    }
    if (isEmbedded(brokerUrl.value)) return undefined
    if (isStrict()) throw new ConfigurationError(`No secret is set, and handles need one: ${remedy()}`)
    printOnce(
      'lovage: no LOVAGE_SECRET is set; handles are signed with a key kept at the broker. Production refuses this',
    )
    return undefined
  }
}

/** A build evaluates modules with the settings of production and without its secrets. */
function isStrict(): boolean {
  return process.env['NODE_ENV'] === 'production' && process.env['NEXT_PHASE'] !== 'phase-production-build'
}

function assertSecrets(secrets: readonly string[], source: string): void {
  if (secrets.length === 0) throw new ConfigurationError(`${source} is an empty list: ${remedy()}`)
  for (const secret of secrets) {
    const length = typeof secret === 'string' ? Buffer.byteLength(secret) : 0
    if (length >= shortestSecretBytes) continue
    throw new ConfigurationError(
      `${source} has ${length} bytes: a secret for handles needs at least ${shortestSecretBytes}. ${remedy()}`,
    )
  }
}

function remedy(): string {
  return `put this line into the environment of every web process:\nLOVAGE_SECRET=${randomBytes(32).toString('base64url')}`
}

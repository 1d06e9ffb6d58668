import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { HandWrittenResults } from './hand-written-results.ts'
import { HandWrittenStore, WakeFile, type Message } from './hand-written-store.ts'
import type { Client, Peer, ProgressFigures, Sent, Setup } from './peer.ts'

const workerFile = fileURLToPath(import.meta.resolve('./hand-written-worker.ts'))

/** Calls of progress between two looks at the clock. */
const callsPerLook = 100_000

export const handWritten: Peer = {
  name: 'hand-written',
  configuration: ({ claim }) => ({
    driver: 'node:sqlite',
    durability: 'enqueue FULL, claim NORMAL, settle FULL',
    prefetch: `claims of ${String(claim)}, settled in one commit`,
    results: 'kept',
  }),
  openClient: setup => Promise.resolve(new HandWrittenClient(setup)),
  worker: ({ file, claim }) => ({ args: [workerFile, file, String(claim)], env: {} }),
}

class HandWrittenClient implements Client {
  readonly #store: HandWrittenStore
  readonly #work: WakeFile
  readonly #results: HandWrittenResults
  #unsent: Omit<Message, 'key'>[] = []
  /** While something is unsent. */
  #sending: Promise<void> | undefined

  constructor({ file }: Setup) {
    this.#store = new HandWrittenStore(file)
    this.#work = new WakeFile(`${file}.work`)
    this.#results = new HandWrittenResults(this.#store, file)
  }

  /** What is sent in one turn of the event loop is one commit. */
  send(count: number): Promise<Sent> {
    const messages = Array.from({ length: count }, (_, index) => message(index))
    const ids = messages.map(({ id }) => id)
    this.#unsent.push(...messages)
    this.#sending ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          resolve(this.#enqueue())
        } catch (error) {
          reject(error)
        }
      })
    })
    return this.#sending.then(() => ({ ids, results: () => this.#results.wait(ids) }))
  }

  isReady(id: string): Promise<boolean> {
    return Promise.resolve(this.#store.isReady(id))
  }

  /** The least one can do: two numbers into shared memory, for another thread to write now and then. */
  measureProgress(ms: number): Promise<ProgressFigures> {
    const latest = new Float64Array(new SharedArrayBuffer(16))
    const startedAt = performance.now()
    let calls = 0
    while (performance.now() - startedAt < ms) {
      for (let i = 0; i < callsPerLook; i++) {
        latest[0] = calls++
        latest[1] = ms
      }
    }
    return Promise.resolve({ nsPerCall: ((performance.now() - startedAt) * 1e6) / calls, writesPerSecond: 0 })
  }

  close(): Promise<void> {
    this.#results.close()
    this.#work.close()
    this.#store.close()
    return Promise.resolve()
  }

  #enqueue(): void {
    const messages = this.#unsent
    this.#unsent = []
    this.#sending = undefined
    this.#store.enqueue(messages)
    this.#work.touch()
  }
}

function message(index: number): Omit<Message, 'key'> {
  const { id, headers, body } = celeryMessage(index)
  return { id, headers: JSON.stringify(headers), body }
}

/** With all that Celery's have. */
export function celeryMessage(index: number) {
  const id = timeSortedId()
  const headers = {
    lang: 'js',
    task: 'bench.add',
    id,
    root_id: id,
    parent_id: null,
    group: null,
    retries: 0,
    timelimit: [null, null],
    eta: null,
    expires: null,
    origin: 'bench',
    argsrepr: `(${String(index)}, 1)`,
    kwargsrepr: '{}',
    ignore_result: false,
  }
  const embed = { callbacks: null, errbacks: null, chain: null, chord: null }
  return { id, headers, body: JSON.stringify([[index, 1], {}, embed]) }
}

/** A UUIDv7: ids that follow each other lie beside each other in the index. */
function timeSortedId(): string {
  const time = Date.now().toString(16).padStart(12, '0')
  const random = randomBytes(10).toString('hex')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-a${random.slice(3, 6)}-${random.slice(6, 18)}`
}

/**
 * plainjob as its README and its own bench set it up: better-sqlite3, WAL at synchronous = NORMAL (it sets that itself),
 * one job at a time, polling every second when idle. It keeps no results: a job is ready when it is marked as done.
 */
import Database from 'better-sqlite3'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { better, defineQueue, JobStatus, type Logger, type Queue } from 'plainjob'
import type { Client, Peer, Sent, Setup } from './peer.ts'

const workerFile = fileURLToPath(import.meta.resolve('./plainjob-worker.ts'))

export const plainjob: Peer = {
  name: 'plainjob',
  configuration: () => ({
    driver: 'better-sqlite3',
    durability: 'all NORMAL (its own setting)',
    prefetch: '1, one commit to take and one to mark done',
    results: 'none',
  }),
  openClient: setup => Promise.resolve(new PlainjobClient(setup)),
  worker: ({ file }) => ({ args: [workerFile, file], env: {} }),
}

export const quiet: Logger = { error: console.error, warn: console.warn, info: () => {}, debug: () => {} }

class PlainjobClient implements Client {
  readonly #queue: Queue

  constructor({ file }: Setup) {
    this.#queue = defineQueue({ connection: better(new Database(file)), logger: quiet })
  }

  send(count: number): Promise<Sent> {
    const jobs = Array.from({ length: count }, (_, index) => ({ x: index, y: 1 }))
    const ids = this.#queue.addMany('bench.add', jobs).ids.map(String)
    return Promise.resolve({ ids, results: () => this.#results(ids) })
  }

  isReady(id: string): Promise<boolean> {
    return Promise.resolve(this.#isDone(id))
  }

  close(): Promise<void> {
    this.#queue.close()
    return Promise.resolve()
  }

  /** It tells nobody when a job is done, so we look; in order, so the last one is enough. */
  async #results(ids: readonly string[]): Promise<void> {
    const last = ids.at(-1)
    while (last !== undefined && !this.#isDone(last)) await sleep(1)
  }

  #isDone(id: string): boolean {
    return this.#queue.getJobById(Number(id))?.status === JobStatus.Done
  }
}

/** lovage/worker: a worker inside your own process. */
export { Worker } from './worker.ts'
export type { AppSource, WorkerOptions } from './options.ts'

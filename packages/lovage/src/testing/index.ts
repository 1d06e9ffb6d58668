/** lovage/testing: a worker in the test's own process, signals to wait for, a clock to move. */
export { startTestWorker } from './test-worker.ts'
export type { TaskEvent, TestWorker, TestWorkerOptions } from './test-worker.ts'
export { TestClock } from './test-clock.ts'

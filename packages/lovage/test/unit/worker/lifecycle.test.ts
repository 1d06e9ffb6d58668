import { lifecycleConformance } from '../../../src/testing/conformance/lifecycle.ts'
import { Lovage } from '../../../src/index.ts'
import { Worker } from '../../../src/worker/index.ts'

const nothing = (): void => undefined
const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
let count = 0

/** @param include loaded at each start: a throw makes that start fail. */
function createWorker(include: () => Promise<unknown> = () => Promise.resolve()): Worker {
  const app = new Lovage('test', { brokerUrl: `memory://lifecycle-${count++}`, include: [include] })
  app.task('core.tasks.add', (_task, x: number, y: number) => x + y)
  return new Worker(app, { logger })
}

lifecycleConformance('Worker', {
  create: () => createWorker(),
  createFailing() {
    let starts = 0
    return createWorker(() => (starts++ === 0 ? Promise.reject(new Error('not yet')) : Promise.resolve()))
  },
  states: { running: 'running', stopped: 'stopped' },
})

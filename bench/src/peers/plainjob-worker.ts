/** plainjob's worker: `node plainjob-worker.ts FILE`. */
import Database from 'better-sqlite3'
import { better, defineQueue, defineWorker } from 'plainjob'
import { quiet } from './plainjob.ts'

const queue = defineQueue({ connection: better(new Database(String(process.argv[2]))), logger: quiet })
const worker = defineWorker(
  'bench.add',
  job => {
    const { x, y } = JSON.parse(job.data) as { x: number; y: number }
    void (x + y)
  },
  { queue, logger: quiet },
)
process.on('SIGTERM', () => process.exit(0))
const stopped = worker.start()
console.log('ready')
await stopped

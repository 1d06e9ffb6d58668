/** celery-node's worker: `node celery-node-worker.ts URL`. */
import { createWorker } from 'celery-node'

const [url] = process.argv.slice(2)
const worker = createWorker(url, url)
worker.register('bench.add', (x: number, y: number) => x + y)
process.on('SIGTERM', () => process.exit(0))
await worker.start()
console.log('ready')

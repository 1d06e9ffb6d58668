/**
 * The tutorial's web server on node:http. `npm start` in the repository's root starts it beside a worker; by itself:
 * `node examples/tutorial/server.ts`, PORT=8001 for another port. Start as many as you like on one `.lovage/queue.db`.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { app } from '../tasks/tasks.ts'
import { createSite } from './site.ts'

const wanted = process.env['PORT'] ?? '8000'
const site = createSite(app)
const server = createServer((request, response) => void site.answer(request, response))

server.on('error', error => {
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
  console.error(
    isTaken
      ? `Port ${wanted} is taken by another program. Choose another one: PORT=${String(Number(wanted) + 1)} npm start`
      : `The web server cannot listen on port ${wanted}: ${error.message}`,
  )
  process.exit(1)
})
server.listen(portOf(wanted), '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  console.log(`http://127.0.0.1:${String(port)}/`)
  process.send?.({ port })
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop())
// a parent that is gone can no longer tell it to stop
process.once('disconnect', () => void stop())

async function stop(): Promise<void> {
  server.close()
  await site.close()
  await app.close()
  process.exit()
}

function portOf(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  console.error(`PORT is "${text}": expected a number from 0 to 65535, as in PORT=8001 npm start`)
  process.exit(1)
}

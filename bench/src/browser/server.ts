/** The web process of the row `browser`: nothing but the routes. Says its port and a handle for each viewer. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { taskRoutes } from 'lovage/web'
import { toNodeHandler } from 'lovage/web/node'
import { app, tick } from './tasks.ts'

export interface ServerReady {
  readonly port: number
  readonly handles: readonly string[]
}

const [tasks = 0, viewers = 0, seconds = 0] = process.argv.slice(2).map(Number)
const routes = taskRoutes(app)
await routes.ready()
// their updates are spread over the second
const results = await tick.applyMany(Array.from({ length: tasks }, (_, index) => [(index * 1000) / tasks, seconds]))
const server = createServer({ keepAliveTimeout: 60_000 }, toNodeHandler(routes))
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const { port } = server.address() as AddressInfo
  // each its own, as pages of different people have
  const handles = Array.from({ length: viewers }, (_, index) => {
    const result = results[index % tasks]
    if (result === undefined) throw new RangeError('more than no task is needed')
    return routes.handle(result, { expiresInMs: 3_600_000 + 1000 * Math.floor(index / tasks) })
  })
  process.send?.({ port, handles } satisfies ServerReady)
})
process.on('disconnect', () => process.exit())

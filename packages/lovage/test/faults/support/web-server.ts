/**
 * A web process: the routes on node:http over a database. argv: the database, limits as JSON, the app's
 * name. Prints `listening <port>`. `GET /handle/<id>` mints, `GET /memory` tells resident bytes and open connections.
 */
import { createServer } from 'node:http'
import { Lovage } from '../../../src/app/lovage.ts'
import { toNodeHandler } from '../../../src/web/node.ts'
import { createRoutes } from '../../../src/web/routes.ts'
import { defaultLimits } from '../../../src/web/web-limits.ts'

const [database = '', limits = '{}', name = 'faults'] = process.argv.slice(2)
const app = new Lovage(name, { brokerUrl: `sqlite:${database}` })
const routes = createRoutes(app, {}, { ...defaultLimits, ...(JSON.parse(limits) as object) })
await routes.ready()
const tasks = toNodeHandler(routes)
const server = createServer((request, response) => {
  const [, first, id = ''] = (request.url ?? '').split('/')
  if (first === 'handle')
    response.end(routes.handle(app.result(decodeURIComponent(id)), { allow: ['read', 'result', 'revoke'] }))
  else if (first === 'memory')
    server.getConnections((_error, count) => response.end(JSON.stringify({ count, rss: memory() })))
  else tasks(request, response)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(`listening ${typeof address === 'object' && address !== null ? address.port : ''}`)
})

function memory(): number {
  return process.memoryUsage.rss()
}

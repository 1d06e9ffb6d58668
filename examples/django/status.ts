/**
 * The status view, answered by Lovage: any number of these may run, and each knows every task that the worker has had.
 * `STATUS_BASE=http://127.0.0.1:8001` in Django's environment sends the page here.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tutorialStatus } from 'lovage/web'
import { app } from '../tasks/tasks.ts'

/** Where the page comes from. */
const origin = process.env['DJANGO_ORIGIN'] ?? 'http://127.0.0.1:8000'

const server = createServer((request, response) => {
  const [, id] = /^\/task-status\/([^/]+)\/$/.exec(request.url ?? '') ?? []
  answer(id, response).catch((error: unknown) => {
    console.error(error)
    send(response, 503, { error: 'Try again in a moment' })
  })
})

async function answer(id: string | undefined, response: ServerResponse): Promise<void> {
  const snapshot = id === undefined ? undefined : await app.result(decodeURIComponent(id)).snapshot()
  if (snapshot === undefined) send(response, 404, { error: 'No task with this id has been seen' })
  else send(response, 200, tutorialStatus(snapshot))
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'access-control-allow-origin': origin })
  response.end(JSON.stringify(body))
}

server.listen(Number(process.env['PORT'] ?? 8001), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`)
})

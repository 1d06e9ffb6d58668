/** Vitest global set-up: one RabbitMQ per test run, started when a test first asks for it, gone with the run. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRabbit } from './rabbitmq-server.ts'
import type { RabbitServer } from './rabbitmq-server.ts'
import { starterVariable } from './rabbitmq.ts'

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  // every project of the run comes here; the first one serves them all
  if (process.env[starterVariable] !== undefined) return undefined
  const dir = mkdtempSync(join(tmpdir(), 'lovage-rabbit-starter-'))
  const path = join(dir, 'socket')
  process.env[starterVariable] = path
  let started: Promise<RabbitServer> | undefined
  const starter = await listen(path, socket => {
    started ??= startRabbit()
    started.then(
      server => socket.end(JSON.stringify(server.address)),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    )
  })
  return async () => {
    starter.close()
    delete process.env[starterVariable]
    await (await started?.catch(() => undefined))?.[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  }
}

function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(onConnection)
    server.once('error', reject)
    server.listen(path, () => resolve(server))
  })
}

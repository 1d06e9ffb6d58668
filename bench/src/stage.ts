/**
 * What the rows on RabbitMQ need: one private server for the whole run, its data on the disk that is measured, and
 * Celery from pip. What cannot be had is said loudly, and its rows or sides are left out.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findPythonCelery } from '../../packages/lovage/test/interop/protocol/python-celery.ts'
import type { RabbitServer } from '../../test-support/rabbitmq-server.ts'
import type { PeerName, PythonCelery, RabbitSetup } from './peers/peer.ts'

export interface RabbitStage {
  readonly version: string
  readonly celery: PythonCelery | undefined
  /** Gives each side a virtual host of its own, and takes it away afterwards. */
  use<T>(results: RabbitSetup['results'], run: (setup: RabbitSetup) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Undefined: there is no RabbitMQ here, and it was said. */
export async function openRabbitStage(folder: string, peers: readonly PeerName[]): Promise<RabbitStage | undefined> {
  const { hasRabbit, startRabbit } = await import('../../test-support/rabbitmq.ts')
  if (!hasRabbit) return undefined
  const celery = peers.some(isCelery) ? provideCelery() : undefined
  const server = await startRabbit({ dir: join(folder, 'rabbitmq') })
  return {
    version: JSON.parse(await server.eval('rabbit_misc:version()')) as string,
    celery,
    use: (results, run) => withVhost(server, url => run({ url, results, celery })),
    close: () => server[Symbol.asyncDispose](),
  }
}

export function isCelery(peer: PeerName): boolean {
  return peer === 'celery' || peer === 'celery-best'
}

async function withVhost<T>(server: RabbitServer, run: (url: string) => Promise<T>): Promise<T> {
  const vhost = await server.addVhost('bench')
  try {
    return await run(server.url(vhost))
  } finally {
    await server.deleteVhost(vhost)
  }
}

/** The newest, or without a network what was installed before. */
function provideCelery(): PythonCelery | undefined {
  const script = fileURLToPath(new URL('../../scripts/celery.js', import.meta.url))
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  const [found] = findPythonCelery()
  if (found === undefined)
    console.warn(`SKIPPED: celery, celery-best. They need python3 with venv, and a network.\n${stderr.trim()}\n`)
  else if (status !== 0) console.warn(`Celery ${found.version}, not the newest: pip did not say.\n${stderr.trim()}\n`)
  return found
}

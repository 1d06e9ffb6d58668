/** A Redis of its own: a free port of the loopback, its data in a folder of ours. */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '../../../test-support/free-ports.ts'
import { goneWithUs } from '../gone-with-us.ts'

export interface RedisServer {
  readonly url: string
  readonly version: string
  stop(): Promise<void>
}

/** @throws {Error} there is no redis-server, or it does not answer. */
export async function startRedis(folder: string): Promise<RedisServer> {
  const version = versionOf()
  const port = await freePort()
  const log = openSync(join(folder, 'redis.log'), 'a')
  const settings = { port, bind: '127.0.0.1', dir: folder, appendonly: 'yes', appendfsync: 'everysec', save: '' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn('redis-server', args, { stdio: ['ignore', log, log] })
  closeSync(log)
  const ended = goneWithUs(child)
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  try {
    await answers(port)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `redis://127.0.0.1:${port}/0`, version, stop }
}

function versionOf(): string {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  } catch (cause) {
    throw new Error('this takes redis-server: npm run servers -- redis-server', { cause })
  }
}

async function answers(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++, await wait(50)) if (await isOpen(port)) return
  throw new Error(`redis-server does not answer on port ${port}`)
}

function isOpen(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection(port, '127.0.0.1')
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

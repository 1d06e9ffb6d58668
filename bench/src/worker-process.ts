/** A worker of one of the sides, in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import type { WorkerCommand } from './peers/peer.ts'

export interface RunningWorker {
  readonly pid: number
  /** From the start of the process until its line with `ready`. */
  readonly readyAfterMs: number
  stop(): Promise<void>
}

const longestStartMs = 20_000
const longestStopMs = 5_000

/** @throws what the worker printed, when it ends or is silent instead of getting ready. */
export async function startWorker({ program = process.execPath, args, env }: WorkerCommand): Promise<RunningWorker> {
  const startedAt = performance.now()
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  await untilReady(child)
  const readyAfterMs = performance.now() - startedAt
  return { pid: Number(child.pid), readyAfterMs, stop: () => stop(child) }
}

function untilReady(child: ChildProcess): Promise<void> {
  let output = ''
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the worker ${why}:\n${output.trim()}`))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      fail('did not get ready')
    }, longestStartMs)
    const onOutput = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000)
      if (!/\bready\b/i.test(output)) return
      clearTimeout(timer)
      for (const stream of streams) stream?.off('data', onOutput).resume()
      resolve()
    }
    const streams = [child.stdout, child.stderr]
    for (const stream of streams) stream?.on('data', onOutput)
    child.once('exit', code => {
      clearTimeout(timer)
      fail(`ended with ${String(code)} before it was ready`)
    })
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const timer = setTimeout(() => child.kill('SIGKILL'), longestStopMs)
  child.kill('SIGTERM')
  await ended
  clearTimeout(timer)
}

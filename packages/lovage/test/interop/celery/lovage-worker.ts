/** A Lovage worker as users start one: its own process, its own task thread. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const command = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))
const tasks = fileURLToPath(new URL('tasks.ts', import.meta.url))

export interface LovageWorker {
  /** What it has said. */
  readonly lines: readonly string[]
  readonly end: () => Promise<void>
}

/** Ready when this resolves. @param urls LOVAGE_BROKER_URL and LOVAGE_RESULT_BACKEND */
export async function startLovageWorker(urls: NodeJS.ProcessEnv): Promise<LovageWorker> {
  const args = [command, 'worker', tasks, '-c', '4', '-Q', 'ts', '-n', 'ts', '-l', 'info']
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH, HOME, ...urls } })
  const lines: string[] = []
  const ready = Promise.withResolvers<void>()
  const read = (line: string): void => {
    lines.push(line)
    if (/\bready\b/i.test(line)) ready.resolve()
  }
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', read)
  child.once('close', () => ready.reject(new Error(`The Lovage worker has ended:\n${lines.slice(-30).join('\n')}`)))
  await ready.promise
  const end = async (): Promise<void> => {
    if (child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  return { lines, end }
}

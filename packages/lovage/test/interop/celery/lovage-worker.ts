/** A Lovage worker as users start one: its own process, its own task thread. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const command = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))
const tasks = fileURLToPath(new URL('tasks.ts', import.meta.url))

export interface LovageWorker {
  /** The first line that fits, said already or yet to come. */
  readonly line: (pattern: RegExp) => Promise<string>
  readonly end: () => Promise<void>
}

/** Ready when this resolves. @param urls LOVAGE_BROKER_URL and LOVAGE_RESULT_BACKEND */
export async function startLovageWorker(urls: NodeJS.ProcessEnv): Promise<LovageWorker> {
  const args = [command, 'worker', tasks, '-c', '4', '-Q', 'ts', '-n', 'lovage', '-l', 'info']
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH, HOME, ...urls } })
  const lines: string[] = []
  const waiting: {
    readonly pattern: RegExp
    readonly resolve: (line: string) => void
    readonly reject: (error: Error) => void
  }[] = []
  const read = (line: string): void => {
    lines.push(line)
    for (const { pattern, resolve } of waiting) if (pattern.test(line)) resolve(line)
  }
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', read)
  child.once('close', () => {
    const error = new Error(`The Lovage worker has ended:\n${lines.slice(-30).join('\n')}`)
    for (const { reject } of waiting) reject(error)
  })
  const line = (pattern: RegExp): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    waiting.push({ pattern, resolve, reject })
    const said = lines.find(each => pattern.test(each))
    if (said !== undefined) resolve(said)
    return promise
  }
  await line(/ready\./)
  const end = async (): Promise<void> => {
    if (child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  return { line, end }
}

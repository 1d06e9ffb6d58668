/** A program that says when it is ready, and ends with the test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface Process {
  /** The line that said it was ready. */
  readonly line: string
  readonly end: () => Promise<void>
}

interface Options {
  readonly env: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly ready: RegExp
}

export async function startProcess(program: string, args: readonly string[], options: Options): Promise<Process> {
  const { PATH, HOME } = process.env
  const child = spawn(program, args, {
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH,
      HOME,
      LANG: 'C.UTF-8',
      PYTHONUNBUFFERED: '1',
      PYTHONDONTWRITEBYTECODE: '1',
      C_FORCE_ROOT: '1',
      ...options.env,
    },
  })
  const said: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', line => {
      said.push(line)
      if (options.ready.test(line)) resolve(line)
    })
  child.once('close', () => reject(new Error(`${program} ${args.join(' ')} has ended:\n${said.slice(-30).join('\n')}`)))
  const line = await promise
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    // Celery's cold stop takes its children along; for others it is an end like any other
    child.kill('SIGQUIT')
    const late = setTimeout(() => child.kill('SIGKILL'), 3000)
    await ended
    clearTimeout(late)
  }
  return { line, end }
}

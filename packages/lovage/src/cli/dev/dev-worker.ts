/**
 * The worker of `lovage dev`, always one that runs the code as it was saved last: each save starts a new process, and
 * the one before takes nothing more, finishes what runs within a few seconds and gives the rest back.
 *
 *   starting → running    it is ready
 *   starting → broken     it ended: the file does not load; the next save starts another
 *   running → starting    it died: another is started after a moment
 *   any → starting        a save
 *   any → stopped         `stop`; for good
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Clock, Timer } from '../../core/clock.ts'
import type { AppDescription } from './describe-app.ts'

export type DevWorkerState = 'starting' | 'running' | 'broken' | 'stopped'

export interface DevWorkerOptions {
  /** Behind `lovage worker`. */
  readonly args: readonly string[]
  readonly clock: Clock
  readonly say: (line: string) => void
}

const command = fileURLToPath(new URL('../../../bin/lovage.js', import.meta.url))
const restartMs = 500
/** What a task has to finish when its code was replaced. */
const graceSeconds = 5

export class DevWorker {
  readonly #options: DevWorkerOptions
  /** All that live: the present one last. */
  readonly #children = new Set<ChildProcess>()
  #state: DevWorkerState = 'starting'
  #present: ChildProcess | undefined
  #app: AppDescription | undefined
  #timer: Timer | undefined
  #count = 0

  constructor(options: DevWorkerOptions) {
    this.#options = options
  }

  get state(): DevWorkerState {
    return this.#state
  }

  /** What was loaded last; undefined until the file has loaded once. */
  get app(): AppDescription | undefined {
    return this.#app
  }

  /** How many processes were started. */
  get generation(): number {
    return this.#count
  }

  /** Once. */
  start(): void {
    this.#start()
  }

  reload(): void {
    if (this.#state === 'stopped') return
    this.#present?.kill('SIGTERM')
    this.#start()
  }

  /** Resolves when no process is left. A second call has them end at once. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#state = 'stopped'
    for (const child of this.#children) child.kill('SIGTERM')
    await Promise.all([...this.#children].map(child => new Promise(resolve => child.once('exit', resolve))))
  }

  #start(): void {
    this.#timer?.cancel()
    this.#count += 1
    const child = spawn(process.execPath, [command, 'worker', ...this.#options.args, ...this.#ownArgs()], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Ctrl-C is for us: to two processes at once it would be a cold stop
      detached: true,
    })
    this.#present = child
    this.#children.add(child)
    this.#state = 'starting'
    child.on('message', message => this.#onMessage(child, message))
    child.once('exit', (code, signal) => this.#onExit(child, signal ?? code))
  }

  /** Each has a name of its own, because two live for a moment. */
  #ownArgs(): readonly string[] {
    return ['--hostname', `dev${this.#count}@%h`, '--shutdown-timeout', `${graceSeconds}s`]
  }

  #onMessage(child: ChildProcess, message: unknown): void {
    if (child !== this.#present) return
    if (isDescription(message)) this.#app = message
    if (message === 'ready') this.#state = 'running'
  }

  #onExit(child: ChildProcess, how: string | number | null): void {
    this.#children.delete(child)
    if (child !== this.#present || this.#state === 'stopped') return
    this.#present = undefined
    if (this.#state === 'starting') {
      this.#options.say(`The worker did not start (${how}). Save the file and it is tried again.`)
      this.#state = 'broken'
      return
    }
    this.#options.say(`The worker ended with ${how}. Starting another one; its tasks are run again.`)
    this.#state = 'starting'
    this.#timer = this.#options.clock.after(restartMs, () => this.#start())
  }
}

function isDescription(message: unknown): message is AppDescription {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === 'app'
}

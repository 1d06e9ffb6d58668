/**
 * The processes of a run: workers, producers, readers. One that ends is replaced at once, unless the fleet was told to
 * end. Whatever is done to one is written down.
 *
 * A member is starting → ready → (frozen → ready) → stopping → gone; killed from any of them.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { goneWithUs } from './gone-with-us.ts'
import type { FaultKind, FaultLine, History } from './programs/history.ts'
import type { Project } from './project.ts'

export type Role = 'worker' | 'producer' | 'reader'

interface Member {
  readonly role: Role
  readonly child: ChildProcess
  readonly pid: number
  readonly ended: Promise<void>
  state: 'starting' | 'ready' | 'frozen' | 'stopping' | 'gone'
}

export interface FleetOptions {
  readonly project: Project
  readonly sizes: Readonly<Record<Role, number>>
  /** Of every process. */
  readonly env: NodeJS.ProcessEnv
  readonly faults: History
}

/** One that died by itself is not started again at once, or it would be a storm. */
const respawnMs = 300
/** A start that takes longer is none. */
const startMs = 60_000
/** A stop that takes longer is no stop. */
const stopMs = 30_000

export class Fleet {
  readonly #options: FleetOptions
  readonly #members = new Set<Member>()
  readonly #sizes: Record<Role, number>
  readonly #written: FaultLine[] = []
  #started = 0

  constructor(options: FleetOptions) {
    this.#options = options
    this.#sizes = { worker: 0, producer: 0, reader: 0 }
  }

  /** All that was done, oldest first. */
  get faults(): readonly FaultLine[] {
    return this.#written
  }

  async start(): Promise<void> {
    Object.assign(this.#sizes, this.#options.sizes)
    for (const role of ['worker', 'producer', 'reader'] as const)
      for (let n = 0; n < this.#sizes[role]; n++) this.#spawn(role)
    await this.#allReady('worker')
  }

  /** Those that can be chosen from. */
  ready(role: Role): readonly Member[] {
    return [...this.#members].filter(member => member.role === role && member.state === 'ready')
  }

  /** Killable are those that start, too, and those that are frozen. */
  alive(role: Role): readonly Member[] {
    return [...this.#members].filter(member => member.role === role && member.state !== 'stopping')
  }

  kill(member: Member): void {
    this.note('kill', member)
    this.#forget(member)
    member.child.kill('SIGKILL')
    this.#fill(member.role)
  }

  freeze(member: Member): void {
    member.state = 'frozen'
    this.note('freeze', member)
    member.child.kill('SIGSTOP')
  }

  thaw(member: Member): void {
    if (member.state !== 'frozen') return
    member.state = 'ready'
    this.note('thaw', member)
    member.child.kill('SIGCONT')
  }

  stop(member: Member): void {
    this.thaw(member)
    member.state = 'stopping'
    this.note('stop', member)
    member.child.kill('SIGTERM')
    this.#fill(member.role)
  }

  /** Tells all of a role to stop and waits for it. Sentences about those that did not. */
  async end(role: Role): Promise<readonly string[]> {
    this.#sizes[role] = 0
    const members = [...this.#members].filter(member => member.role === role)
    for (const member of members) if (member.state !== 'stopping') this.stop(member)
    const late = await Promise.all(
      members.map(async ({ ended, pid }) => {
        const isLate = await Promise.race([ended.then(() => false), wait(stopMs, true, { ref: false })])
        return isLate ? [`${role} ${pid} had not ended ${stopMs / 1000} s after it was told to`] : []
      }),
    )
    return late.flat()
  }

  /** Runs a program of the project to its end. */
  async run(program: string): Promise<{ readonly code: number | null; readonly said: string }> {
    const { project, env } = this.#options
    const child = spawn(process.execPath, [program], {
      cwd: project.root,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    void goneWithUs(child)
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    const code = await new Promise<number | null>(resolve => child.once('close', resolve))
    return { code, said }
  }

  /** Whatever still runs, frozen or not. */
  killAll(): void {
    Object.assign(this.#sizes, { worker: 0, producer: 0, reader: 0 })
    for (const { child } of this.#members) child.kill('SIGKILL')
  }

  note(k: FaultKind, about: { readonly role?: Role; readonly pid?: number; readonly note?: string } = {}): void {
    const { role, pid, note } = about
    const line: FaultLine = { k, at: Date.now(), ...(role && { role }), ...(pid && { pid }), ...(note && { note }) }
    this.#written.push(line)
    this.#options.faults.write(line)
  }

  async #allReady(role: Role): Promise<void> {
    const until = Date.now() + startMs
    while (this.ready(role).length < this.#sizes[role]) {
      if (Date.now() > until)
        throw new Error(`no ${role} was ready within ${startMs / 1000} s; their last words:\n${this.#lastWords(role)}`)
      await wait(20)
    }
  }

  #lastWords(role: Role): string {
    return readFileSync(join(this.#options.project.root, `${role}s.log`), 'utf8').slice(-2000)
  }

  #fill(role: Role): void {
    while (this.alive(role).length < this.#sizes[role]) this.#spawn(role)
  }

  #spawn(role: Role): void {
    const { project, env } = this.#options
    const log = openSync(join(project.root, `${role}s.log`), 'a')
    const number = ++this.#started
    const child = spawn(process.execPath, argumentsOf(role, project), {
      cwd: project.root,
      env: { ...env, CHAOS_SEED: `${env['CHAOS_SEED']}${number}` },
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    const { promise, resolve } = Promise.withResolvers<void>()
    const member: Member = { role, child, pid: child.pid ?? 0, ended: promise, state: 'starting' }
    this.#members.add(member)
    this.note('start', member)
    child.on('message', message => {
      if (message !== 'ready' || member.state !== 'starting') return
      member.state = 'ready'
      this.note('ready', member)
    })
    child.once('exit', (code, signal) => {
      resolve()
      this.#ended(member, `${code ?? signal}`)
    })
  }

  #ended(member: Member, how: string): void {
    if (member.state === 'gone') return
    const wasTold = member.state === 'stopping'
    this.#forget(member)
    this.note(wasTold ? 'exit' : 'died', { ...member, note: how })
    if (!wasTold) setTimeout(() => this.#fill(member.role), respawnMs)
  }

  #forget(member: Member): void {
    member.state = 'gone'
    this.#members.delete(member)
  }
}

function argumentsOf(role: Role, { command, root }: Project): string[] {
  if (role !== 'worker') return [join(root, `${role}.ts`)]
  return [command, '-A', 'tasks.ts', 'worker', '-c', '8', '-l', 'warn', '--shutdown-timeout', '2s', '--json']
}

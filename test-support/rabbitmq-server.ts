/**
 * A RabbitMQ of one's own: a child process on loopback with its own data folder, ports, node name, cookie and epmd,
 * that can be stopped, killed, frozen and started again. Needs RabbitMQ's programs on this machine (Debian's package
 * or any on the path).
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePorts } from './free-ports.ts'

const run = promisify(execFile)

/** How long a server may turn a caller away. */
const callMs = 5000

/** Where a running server is: all that another process needs to use it. Plain data. */
export interface RabbitAddress {
  readonly port: number
  readonly distPort: number
  readonly epmdPort: number
  readonly node: string
  readonly cookie: string
  readonly dir: string
}

export interface RabbitOptions {
  /** Lines of rabbitmq.conf. */
  readonly config?: readonly string[]
  /** Extra plugins. @default none */
  readonly plugins?: readonly string[]
  /** Kept after `dispose` when given; else a temporary folder. */
  readonly dir?: string
  /** AMQP port. @default one that is free */
  readonly port?: number
  /** Outlives this process: its output goes to files of `dir`. @default false */
  readonly detached?: boolean
}

/** The launcher itself: as root, Debian's wrapper would change the user. Undefined: RabbitMQ is not installed. */
export function findRabbitServer(): string | undefined {
  const debian = '/usr/lib/rabbitmq/bin/rabbitmq-server'
  if (existsSync(debian)) return debian
  const found = spawnSync('sh', ['-c', 'command -v rabbitmq-server'], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() : undefined
}

/** Commands to a running server, from any process. */
export class RabbitControl {
  readonly address: RabbitAddress

  constructor(address: RabbitAddress) {
    this.address = address
  }

  /** `amqp://…` of the user guest. @param vhost its plain name */
  url(vhost = '/'): string {
    return `amqp://guest:guest@127.0.0.1:${this.address.port}/${encodeURIComponent(vhost)}`
  }

  /** Runs `rabbitmqctl` (half a second and more); gives what it printed. */
  async ctl(args: readonly string[]): Promise<string> {
    const program = join(dirname(findRabbitServer() ?? ''), 'rabbitmqctl')
    const { stdout } = await run(program, ['-n', this.address.node, '--quiet', ...args], {
      env: environment(this.address),
    })
    return stdout
  }

  /** Evaluates Erlang inside the server (milliseconds); gives the printed term. */
  async eval(expression: string): Promise<string> {
    const answer = await this.#call(`${expression.trim().replace(/\.?$/, '.')}\n`)
    if (!answer.startsWith('{ok,')) throw new Error(`RabbitMQ answered ${answer} to ${expression}`)
    return answer.slice(4, -1).trim()
  }

  /** A server under load may turn the caller away, for seconds, who has then asked nothing yet. */
  async #call(input: string, until = Date.now() + callMs): Promise<string> {
    const { cookie, distPort } = this.address
    const env = environment(this.address)
    // the random name of -r is drawn from the second: of two callers at once, the server turns one away
    const caller = `caller-${randomBytes(8).toString('hex')}`
    const call = run('erl_call', ['-address', `127.0.0.1:${distPort}`, '-c', cookie, '-h', caller, '-e'], { env })
    // one that ended unheard is told of by its exit code
    call.child.stdin?.on('error', () => undefined)
    call.child.stdin?.end(input)
    try {
      return (await call).stdout.trim()
    } catch (error) {
      if (Date.now() > until || !/failed to connect|Unable to connect|handshake/i.test(String(error))) throw error
      await delay(100)
      return await this.#call(input, until)
    }
  }

  /** A new virtual host that nobody else uses; its name. */
  async addVhost(prefix = 'test'): Promise<string> {
    const name = `${prefix}-${randomBytes(5).toString('hex')}`
    await this.eval(`rabbit_vhost:add(<<"${name}">>, <<"tests">>),
      rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)`)
    return name
  }

  async deleteVhost(name: string): Promise<void> {
    await this.eval(`rabbit_vhost:delete(<<"${name}">>, <<"tests">>)`)
  }

  /** Closes every client connection, as an operator would. */
  async closeConnections(reason = 'closed by the test'): Promise<void> {
    await this.eval(
      `[rabbit_networking:close_connection(Pid, "${reason}") || Pid <- rabbit_networking:connections()], ok`,
    )
  }
}

/** A server this process owns. */
export class RabbitServer extends RabbitControl {
  readonly #options: RabbitOptions
  #epmd: ChildProcess | undefined
  #server: ChildProcess | undefined

  constructor(address: RabbitAddress, options: RabbitOptions) {
    super(address)
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#server?.pid
  }

  /** Starts it, after `stop` or `kill` with the data it had; resolves when it takes connections. */
  async start(): Promise<void> {
    if (this.#server !== undefined) return
    this.#epmd ??= this.#spawn('epmd', ['-port', String(this.address.epmdPort), '-address', '127.0.0.1'])
    const log = join(this.address.dir, 'out.log')
    writeFileSync(log, '')
    this.#server = this.#spawn(findRabbitServer() ?? 'rabbitmq-server', [])
    await this.#startupComplete(log, this.#server)
  }

  /** A clean stop, as `rabbitmqctl stop`. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /**
   * SIGKILL: what was not on disk is gone. That it has streams it writes down first: a broker that is killed within half
   * a second of a start, or of its first stream, has forgotten them for good (docs/rpc.md), and tests of ours kill soon.
   */
  async kill(): Promise<void> {
    await this.eval('dets:sync(ra_coordination_directory_reverse)').catch(() => undefined)
    await this.#end('SIGKILL')
  }

  /** SIGSTOP: connections stay open and silent. It stands still when this returns. */
  freeze(): void {
    this.#signal('SIGSTOP')
    const until = Date.now() + 2000
    while (this.pid !== undefined && !isStopped(this.pid) && Date.now() < until);
  }

  thaw(): void {
    this.#signal('SIGCONT')
  }

  /** Ends it and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw()
    await this.#end('SIGKILL')
    const epmd = this.#epmd
    this.#epmd = undefined
    if (epmd !== undefined && epmd.exitCode === null) {
      epmd.kill('SIGKILL')
      await once(epmd, 'exit')
    }
    if (this.#options.dir === undefined) rmSync(this.address.dir, { recursive: true, force: true })
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const out = openSync(join(this.address.dir, 'out.log'), 'a')
    const [first, ...rest] = this.#options.detached === true ? [program] : [...diesWithUs(), program]
    const child = spawn(first, [...rest, ...args], {
      detached: true,
      stdio: ['ignore', out, out],
      env: environment(this.address),
    })
    if (this.#options.detached === true) child.unref()
    else endWithThisProcess(child)
    return child
  }

  async #startupComplete(log: string, server: ChildProcess): Promise<void> {
    const deadline = Date.now() + 90_000
    while (!readFileSync(log, 'utf8').includes('startup complete')) {
      if (server.exitCode !== null || Date.now() > deadline) {
        const how = server.exitCode === null ? 'still starting after 90 s' : `exit code ${server.exitCode}`
        throw new Error(`RabbitMQ did not start (${how}):\n${readFileSync(log, 'utf8').slice(-3000)}`)
      }
      await delay(50)
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const exited = once(server, 'exit')
    signalGroup(server, signal)
    await exited
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#server !== undefined) signalGroup(this.#server, signal)
  }
}

/** A new server, started. Dispose of it: `await using server = await startRabbit()`. */
export async function startRabbit(options: RabbitOptions = {}): Promise<RabbitServer> {
  const server = await createRabbit(options)
  try {
    await server.start()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

async function createRabbit(options: RabbitOptions): Promise<RabbitServer> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'lovage-rabbit-'))
  const [port, distPort, epmdPort] = await freePorts(3)
  const cookie = randomBytes(12).toString('hex')
  const address: RabbitAddress = {
    port: options.port ?? port ?? 0,
    distPort: distPort ?? 0,
    epmdPort: epmdPort ?? 0,
    // the data belong to the node's name
    node: options.dir === undefined ? `lovage${distPort}@localhost` : 'lovage@localhost',
    cookie,
    dir,
  }
  mkdirSync(join(dir, 'home'), { recursive: true })
  rmSync(join(dir, 'home/.erlang.cookie'), { force: true })
  writeFileSync(join(dir, 'home/.erlang.cookie'), cookie, { mode: 0o400 })
  const config = ['loopback_users = none', 'disk_free_limit.absolute = 10MB', ...(options.config ?? [])]
  writeFileSync(join(dir, 'rabbitmq.conf'), `${config.join('\n')}\n`)
  writeFileSync(join(dir, 'plugins'), `[${(options.plugins ?? []).join(',')}].\n`)
  return new RabbitServer(address, options)
}

function environment(address: RabbitAddress): NodeJS.ProcessEnv {
  const { dir } = address
  return {
    PATH: process.env['PATH'],
    LANG: 'C.UTF-8',
    HOME: join(dir, 'home'),
    // a rabbitmqctl whose server's folder is gone would leave one where the tests run
    ERL_CRASH_DUMP: '/dev/null',
    ERL_EPMD_PORT: String(address.epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: address.node,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(address.port),
    RABBITMQ_DIST_PORT: String(address.distPort),
    RABBITMQ_MNESIA_BASE: join(dir, 'data'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONF_ENV_FILE: join(dir, 'none.conf'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'plugins'),
    // idle schedulers that spin would take the cores from the tests
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}',
    // the launcher becomes the server, so that signals reach it
    RUNNING_UNDER_SYSTEMD: 'true',
  }
}

/** A test run that is killed takes its servers along, where the system can do that. */
function diesWithUs(): readonly string[] {
  const setpriv = '/usr/bin/setpriv'
  return existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : []
}

/** Where there is no `ps`, it is taken to be. */
function isStopped(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return typeof stdout !== 'string' || stdout === '' || stdout.startsWith('T')
}

/** The server and its helper processes. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    // a clean stop is the server's own business; its helpers end with it
    process.kill(signal === 'SIGTERM' ? child.pid : -child.pid, signal)
  } catch {
    // it has ended meanwhile
  }
}

function endWithThisProcess(child: ChildProcess): void {
  const end = (): void => signalGroup(child, 'SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
}

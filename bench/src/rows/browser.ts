import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { ServerReady } from '../browser/server.ts'
import type { ViewersWanted } from '../browser/viewers.ts'
import { percentile } from '../measure.ts'
import { usageOf } from '../process-tree.ts'
import { startWorker } from '../worker-process.ts'
import type { Figures, Row, Side } from './row.ts'

/** Viewers are spread over these; each has something new once a second. */
const taskCount = 100
const viewerProcesses = 2

export const browser: Row = {
  name: 'browser',
  title: 'viewers of one web process, each told of its task once a second (from progress() to the socket)',
  peers: ['lovage'],
  metrics: settings => [
    { name: 'viewers', unit: '×', goal: countViewers(settings).toLocaleString('en') },
    { name: 'updates', unit: '/s' },
    { name: 'server CPU', unit: '%', goal: '≤ 100' },
    { name: 'server memory', unit: 'MB', goal: '< 250' },
    { name: 'delivery, median', unit: 'ms' },
    { name: 'delivery, p99', unit: 'ms', goal: '< 500' },
    { name: 'lovage.js, gzip', unit: 'kB', goal: '≤ 6' },
  ],
  measure: async side => {
    const worker = await startWorker({ ...side.peer.worker(side.setup), args: workerArgs(side) })
    const children: ChildProcess[] = []
    const start = (file: string, args: readonly string[] = []): ChildProcess => {
      const env = {
        ...process.env,
        ...side.peer.worker(side.setup).env,
        NODE_ENV: 'production',
        LOVAGE_SECRET: 'b'.repeat(32),
      }
      const path = fileURLToPath(new URL(`../browser/${file}`, import.meta.url))
      const child = fork(path, args, { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
      children.push(child)
      return child
    }
    try {
      return await measureViewers(side, start)
    } finally {
      for (const child of children) child.kill('SIGKILL')
      await worker.stop()
    }
  },
}

async function measureViewers(
  side: Side,
  start: (file: string, args?: readonly string[]) => ChildProcess,
): Promise<Figures> {
  const ms = Math.max(3000, side.settings.sideMs)
  const server = start('server.ts', [taskCount, countViewers(side.settings), 600].map(String))
  const { port, handles } = await told<ServerReady>(server)
  const viewers = Array.from({ length: viewerProcesses }, () => start('viewers.ts'))
  for (const [index, each] of viewers.entries()) {
    const own = handles.filter((_, position) => position % viewerProcesses === index)
    each.send({ port, handles: own } satisfies ViewersWanted)
  }
  const connected = await Promise.all(viewers.map(each => told<{ connected: number }>(each)))

  const before = usageOf(server.pid ?? 0)
  const startedAt = performance.now()
  for (const each of viewers) each.send(ms)
  const told_ = await Promise.all(viewers.map(each => told<{ delays: number[] }>(each)))
  const delays = told_.flatMap(each => each.delays)
  const tookMs = performance.now() - startedAt
  const after = usageOf(server.pid ?? 0)
  const script = await (await fetch(`http://127.0.0.1:${String(port)}/tasks/lovage.js`)).text()
  return {
    viewers: connected.reduce((sum, each) => sum + each.connected, 0),
    updates: (delays.length * 1000) / ms,
    'server CPU': before && after ? (100 * (after.cpuMs - before.cpuMs)) / tookMs : Number.NaN,
    'server memory': (after?.residentBytes ?? Number.NaN) / 1e6,
    'delivery, median': percentile(delays, 50),
    'delivery, p99': percentile(delays, 99),
    'lovage.js, gzip': gzipSync(script).byteLength / 1000,
  }
}

function countViewers({ isQuick }: Side['settings']): number {
  return isQuick ? 500 : 10_000
}

function workerArgs({ peer, setup }: Side): readonly string[] {
  const [command = '', verb = ''] = peer.worker(setup).args
  return [command, verb, fileURLToPath(new URL('../browser/tasks.ts', import.meta.url)), '-c', String(taskCount)]
}

/** Its next message. */
function told<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once('message', message => resolve(message as T))
    child.once('exit', code => reject(new Error(`a process of the row ended with ${String(code)}`)))
  })
}

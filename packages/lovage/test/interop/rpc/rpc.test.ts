/** What an unmodified Celery worker sends to the inbox, as every process sees it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../../test-support/rabbitmq.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import { RpcResults } from '../../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../../src/drivers/rabbitmq/session.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { findPythonCelery } from '../protocol/python-celery.ts'

const folder = fileURLToPath(new URL('.', import.meta.url))

describe.skipIf(!hasRabbit).each(findPythonCelery())('rpc:// with Celery $version', ({ python }) => {
  test('every state of a Python task reaches readers in any process, in order', { timeout: 120_000 }, async () => {
    const { app, reader } = await stage(python)
    const ids = Array.from({ length: 10 }, (_, index) => `count-${index}`)
    const seen = await Promise.all(ids.map(id => watched(reader, id)))
    await Promise.all(ids.map(taskId => app.sendTask('rpc.count', [20], {}, { taskId })))
    for (const [index, id] of ids.entries()) {
      expect(await app.result(id).get({ timeoutMs: 30_000 })).toEqual({ text: 'grüße', steps: 20 })
      const states = (await seen[index]?.ended)?.map(shown) ?? []
      const steps = Array.from({ length: 20 }, (_, current) => `PROGRESS 0 {"current":${current},"total":20}`)
      // whether the reader is in time for PENDING, and in which order it comes beside STARTED, is the broker's affair
      expect(states.filter(state => state.startsWith('PROGRESS'))).toEqual(steps)
      expect(states.at(-1)).toMatch(/^SUCCESS 0 /)
    }
  })

  test('retries, custom states and exceptions arrive with their attempts', { timeout: 120_000 }, async () => {
    const { app, reader } = await stage(python)
    const flaky = await watched(reader, 'flaky')
    await app.sendTask('rpc.flaky', [], {}, { taskId: 'flaky' })
    const states = (await flaky.ended).map(({ state, retries }) => `${state} ${retries}`)
    expect(states.filter(state => !/^(PENDING|STARTED)/.test(state))).toEqual([
      'TRYING 0',
      'RETRY 0',
      'TRYING 1',
      'RETRY 1',
      'TRYING 2',
      'SUCCESS 2',
    ])
    await app.sendTask('rpc.fail', [], {}, { taskId: 'fail' })
    await expect(app.result('fail').get({ timeoutMs: 30_000 })).rejects.toMatchObject({
      code: 'E_TASK_FAILED',
      remoteType: 'KeyError',
    })
    const lookup = await reader.get('fail')
    expect(lookup).toMatchObject({ kind: 'state', state: { state: 'FAILURE', facts: { name: 'rpc.fail' } } })
    expect(lookup.kind === 'state' && lookup.state.value).toMatch(/Traceback/)
  })

  test('results in pickle end their task with what to change', { timeout: 120_000 }, async () => {
    const { app } = await stage(python, { CELERY_RESULT_SERIALIZER: 'pickle' })
    await app.sendTask('rpc.count', [1], {}, { taskId: 'pickled' })
    await expect(app.result('pickled').get({ timeoutMs: 30_000 })).rejects.toThrow(/result_serializer = 'json'/)
  })
})

interface Stage {
  readonly app: Lovage
  /** Another process's store, as it were: it shares nothing with the app. */
  readonly reader: RpcResults
}

async function stage(python: string, env: NodeJS.ProcessEnv = {}): Promise<Stage> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost('rpc')
  onTestFinished(() => rabbit.deleteVhost(vhost))
  const url = rabbit.url(vhost)
  await startWorker(python, { ...env, CELERY_BROKER_URL: url })
  const app = new Lovage('interop', { brokerUrl: url, resultBackend: 'rpc://', defaultQueue: 'python' })
  const session = new RabbitSession(parseLocation(url))
  const reader = new RpcResults(session, { app: 'interop' })
  await reader.open()
  onTestFinished(async () => {
    await app.close()
    await reader.close()
    await session.close()
  })
  return { app, reader }
}

async function startWorker(python: string, env: NodeJS.ProcessEnv): Promise<void> {
  const args = ['-m', 'celery', '-A', 'rpc_tasks', 'worker', '-Q', 'python', '-c', '2', '-l', 'INFO']
  const child = spawn(python, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      PYTHONDONTWRITEBYTECODE: '1',
      C_FORCE_ROOT: '1',
      ...env,
    },
  })
  onTestFinished(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
  const lines: string[] = []
  if (child.stderr !== null)
    createInterface(child.stderr).on('line', line => (lines.push(line), line.includes(' ready.') && resolve()))
  child.once('close', () => reject(new Error(`The Celery worker has ended:\n${lines.slice(-20).join('\n')}`)))
  await ready
}

/** Follows a task from before it is sent until it is ready. */
async function watched(reader: RpcResults, id: string): Promise<{ readonly ended: Promise<readonly StoredState[]> }> {
  const seen: StoredState[] = []
  const { promise: ended, resolve } = Promise.withResolvers<readonly StoredState[]>()
  await reader.watch([id], {
    onState(state) {
      seen.push(state)
      if (['SUCCESS', 'FAILURE'].includes(state.state)) resolve(seen)
    },
  })
  return { ended }
}

function shown({ state, retries, value }: StoredState): string {
  return `${state} ${retries} ${value ?? ''}`
}

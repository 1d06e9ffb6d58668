import { describe, expect, test } from 'vitest'
import { createLogger } from '../../../src/app/logger.ts'
import { Lovage } from '../../../src/app/lovage.ts'
import { internals } from '../../../src/app/internals.ts'
import { followTask, progressLine } from '../../../src/cli/follow.ts'
import type { Terminal } from '../../../src/cli/terminal.ts'
import { Worker } from '../../../src/worker/index.ts'

interface Recorded extends Terminal {
  readonly lines: string[]
  readonly drawn: string[]
  readonly errors: string[]
}

function recorder(isLive: boolean): Recorded {
  const [lines, drawn, errors]: [string[], string[], string[]] = [[], [], []]
  return {
    isLive,
    columns: 80,
    lines,
    drawn,
    errors,
    out: text => void lines.push(text),
    err: text => void errors.push(text),
    redraw: line => void drawn.push(line),
    paint: (_, text) => text,
    confirm: () => Promise.resolve(undefined),
  }
}

/** An app on a memory broker of its own, with tasks that move on when the test says so. */
function steppedApp(name: string) {
  const app = new Lovage(name, { brokerUrl: `memory://${name}` })
  const gates = new Map<number, PromiseWithResolvers<void>>()
  const gate = (step: number): PromiseWithResolvers<void> => {
    const found = gates.get(step) ?? Promise.withResolvers<void>()
    gates.set(step, found)
    return found
  }
  const count = app.task('count', async (task, total: number) => {
    for (let step = 0; step < total; step++) {
      task.progress(step, total)
      await gate(step).promise
    }
    return { current: total, total }
  })
  const fail = app.task('fail', () => {
    throw new TypeError('no \x1b[2J way')
  })
  return { app, count, fail, open: (step: number) => gate(step).resolve() }
}

const quiet = createLogger({ level: 'error', write: () => undefined })

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(resolve => setImmediate(resolve))
}

describe('in a pipe', () => {
  test('each change is one line, the last one holds the result', async () => {
    const { app, count, open } = steppedApp('pipe')
    await using _closing = app
    await using worker = new Worker(app, { logger: quiet })
    await worker.start()
    const terminal = recorder(false)
    const following = followTask(await count.delay(2), { terminal, backend: await internals(app).backend() })
    await until(() => terminal.lines.includes('PROGRESS 0/2'))
    open(0)
    await until(() => terminal.lines.includes('PROGRESS 1/2'))
    open(1)
    expect(await following).toBe(0)
    expect(terminal.lines.filter(line => /^(PROGRESS|SUCCESS)/.test(line))).toEqual([
      'PROGRESS 0/2',
      'PROGRESS 1/2',
      'SUCCESS {"current":2,"total":2}',
    ])
  })

  test('a failure ends with 1 and cannot steer the terminal', async () => {
    const { app, fail } = steppedApp('failing')
    await using _closing = app
    await using worker = new Worker(app, { logger: quiet })
    await worker.start()
    const terminal = recorder(false)
    expect(await followTask(await fail.delay(), { terminal, backend: await internals(app).backend() })).toBe(1)
    expect(terminal.lines.at(-1)).toBe(String.raw`FAILURE TypeError: no \u001b[2J way (no retry policy)`)
  })

  test('--json writes every snapshot as an object', async () => {
    const { app, count, open } = steppedApp('json')
    await using _closing = app
    await using worker = new Worker(app, { logger: quiet })
    await worker.start()
    open(0)
    const terminal = recorder(true)
    await followTask(await count.delay(1), { terminal, json: true, backend: await internals(app).backend() })
    expect(JSON.parse(terminal.lines.at(-1) ?? '')).toMatchObject({
      state: 'SUCCESS',
      result: { current: 1, total: 1 },
      ready: true,
    })
  })
})

test('on a terminal one line is redrawn, and ends with the state and the result', async () => {
  const { app, count, open } = steppedApp('live')
  await using _closing = app
  await using worker = new Worker(app, { logger: quiet })
  await worker.start()
  const terminal = recorder(true)
  const following = followTask(await count.delay(2), { terminal, backend: await internals(app).backend() })
  open(0)
  await until(() => terminal.drawn.some(line => line.includes('50% 1/2')))
  open(1)
  expect(await following).toBe(0)
  expect(terminal.lines).toEqual([])
  expect(terminal.drawn.at(-1)).toMatch(/^SUCCESS \{"current":2,"total":2\} \d+\.\ds\n$/)
  expect(terminal.drawn.slice(0, -1).every(line => line.length < terminal.columns && !line.includes('\n'))).toBe(true)
})

test('a bar is as full as the task, and absent when the total is unknown', () => {
  const progress = (current: number, percent?: number) =>
    ({
      id: 'a',
      state: 'PROGRESS',
      ready: false,
      attempt: 1,
      seq: 1,
      progress: { current, total: percent === undefined ? undefined : 4, percent },
    }) as const
  expect(progressLine(progress(1, 25), 40)).toMatch(/^\[█+░+\] 25% 1\/4$/)
  expect(progressLine(progress(4, 100), 40)).toMatch(/^\[█+\] 100% 4\/4$/)
  expect(progressLine(progress(7), 40)).toBe('7')
})

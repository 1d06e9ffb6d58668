import { beforeAll, describe, expect, it } from 'vitest'
import type { StoredState } from '../../../src/core/record.ts'
import { TaskRevokedError } from '../../../src/core/errors.ts'
import { errorDocument } from '../../../src/protocol/exceptions.ts'
import { encodeJson } from '../../../src/protocol/json.ts'
import { toResultDocument } from '../../../src/protocol/result-document.ts'
import { emptyEmbed, encodeTask, retryMessage, type TaskMessage } from '../../../src/protocol/task-message.ts'
import { Decimal, PlainDate, PlainTime, Uuid } from '../../../src/protocol/typed-values.ts'
import { findPythonCelery, runPython } from './python-celery.ts'

const found = findPythonCelery()
if (found.length === 0) {
  console.warn(
    '\n*** No Python with Celery found: what Python makes of our messages is NOT tested. ***\n' +
      '*** Install one (pip install celery) and name its python in TEST_PYTHON. ***\n',
  )
}

const at = Date.UTC(2026, 10, 22, 6, 15, 18, 639)
const full: TaskMessage = {
  id: 'a1',
  task: 'core.tasks.loop',
  retries: 0,
  etaAt: at,
  expiresAt: at + 60_000,
  timeLimitMs: 1500,
  softTimeLimitMs: 1000,
  rootId: 'r1',
  group: 'g1',
  replyTo: 'inbox',
  owner: 'u1',
  tags: ['x'],
  queuedAt: at,
  headers: { 'x-custom': 1 },
}
const typed = [
  new Date(at),
  new PlainDate('2024-02-29'),
  new PlainTime('01:02:03.000004'),
  new Decimal('1.50'),
  new Uuid('12345678123456781234567812345678'),
  Buffer.from('grüße'),
  Uint8Array.of(255, 0),
]
const plain = [1, 2.5, 'grüße 😀', null, true, 12345678901234567890n, 2 ** 53, [{ a: [] }]]
const link = { task: 't', args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false }

const first = encodeTask(full, {
  args: plain,
  kwargs: { month: '2026-10' },
  embed: { ...emptyEmbed, callbacks: [link] },
})
const messages = [
  first,
  encodeTask({ ...full, id: 'a2' }, { args: typed, kwargs: {}, embed: emptyEmbed }),
  retryMessage(first, { retries: 1, etaAt: at + 1000 }),
]

const stored = (state: string, value: unknown): StoredState => ({
  id: 'a1',
  state,
  retries: 0,
  delivery: 1,
  seq: 1,
  at,
  facts: { name: 'core.tasks.loop', owner: 'u1' },
  value: encodeJson(value),
})
const results = [
  stored('SUCCESS', { total: 5n, rows: ['"result":null'] }),
  stored('FAILURE', errorDocument(new TypeError('boom'))),
  stored('FAILURE', errorDocument(new RangeError('out of range'))),
  stored('REVOKED', errorDocument(new TaskRevokedError('expired', { taskId: 'a1' }), { reason: 'expired' })),
  stored('RETRY', errorDocument(new Error('again'), { retryAt: at })),
  stored('PROGRESS', { current: 3, total: 10 }),
].map(toResultDocument)

interface Read {
  readonly messages: readonly Record<string, unknown>[]
  readonly results: readonly Record<string, unknown>[]
}

// one that is skipped says more than none
const pythons = found.length === 0 ? [{ python: '', version: '(no Python Celery found)' }] : found

describe.skipIf(found.length === 0).each(pythons)('Celery $version', ({ python, version }) => {
  const isTyped = !version.startsWith('5.2')
  let read: Read

  beforeAll(() => {
    read = runPython(python, 'read_messages.py', { messages, results }) as Read
  })

  it('reads our message as its own', () => {
    expect(read.messages[0]).toEqual({
      args: "[1, 2.5, 'grüße 😀', None, True, 12345678901234567890, 9007199254740992.0, [{'a': []}]]",
      kwargs: "{'month': '2026-10'}",
      embed: { ...emptyEmbed, callbacks: [link] },
      id: 'a1',
      name: 'core.tasks.loop',
      eta: '2026-11-22T06:15:18.639000+00:00',
      expires: '2026-11-22T06:16:18.639000+00:00',
      time_limits: [1.5, 1],
      root_id: 'r1',
      parent_id: null,
      group: 'g1',
      argsrepr: "(1, 2.5, 'grüße 😀', None, True, 12345678901234567890, 9007199254740992, [{'a': [...]}])",
      reply_to: 'inbox',
      correlation_id: 'a1',
      info_type: 'core.tasks.loop',
    })
  })

  it('reads our types as Python types', { skip: !isTyped }, () => {
    expect(read.messages[1]?.['args']).toBe(
      '[datetime.datetime(2026, 11, 22, 6, 15, 18, 639000, tzinfo=datetime.timezone.utc), datetime.date(2024, 2, 29), ' +
        "datetime.time(1, 2, 3, 4), Decimal('1.50'), UUID('12345678-1234-5678-1234-567812345678'), " +
        String.raw`b'gr\xc3\xbc\xc3\x9fe', b'\xff\x00']`,
    )
  })

  it('reads our retry', () => {
    expect(read.messages[2]).toMatchObject({ id: 'a1', parent_id: 'a1', eta: '2026-11-22T06:15:19.639000+00:00' })
  })

  it('reads our results, and raises its own classes for our errors', () => {
    expect(read.results).toMatchObject([
      { status: 'SUCCESS', task_id: 'a1', result: `{'total': 5, 'rows': ['"result":null']}`, traceback: null },
      { status: 'FAILURE', module: 'builtins', result: "TypeError('boom')" },
      { status: 'FAILURE', module: 'celery.exceptions', result: "RangeError('out of range')" },
      { status: 'REVOKED', module: 'celery.exceptions', result: "TaskRevokedError('expired')" },
      { status: 'RETRY', result: "Error('again')", date_done: 'None' },
      { status: 'PROGRESS', result: "{'current': 3, 'total': 10}" },
    ])
    expect(read.results[1]?.['traceback']).toMatch(/^TypeError: boom\n +at /)
  })
})

import { describe, expect, test } from 'vitest'
import { createLogger } from '../../../src/app/logger.ts'
import type { LoggerOptions } from '../../../src/app/logger.ts'

function linesOf(options: Partial<LoggerOptions>, log: (logger: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = []
  log(createLogger({ level: 'info', color: false, now: () => 0, write: line => lines.push(line), ...options }))
  return lines
}

describe('a JSON line', () => {
  const json = (message: string, fields?: object): Record<string, unknown> => {
    const [line = ''] = linesOf({ format: 'json' }, logger => logger.info(message, fields))
    expect(line.indexOf('\n')).toBe(line.length - 1)
    return JSON.parse(line) as Record<string, unknown>
  }

  test('has time, level, message and the fields', () => {
    expect(json('ready', { id: 'a' })).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      level: 'info',
      message: 'ready',
      id: 'a',
    })
  })

  test('hides secrets by key and by looks, at any depth', () => {
    const line = json('connect to amqp://me:hunter2@host', {
      user: { password: 'hunter2', note: 'Bearer abcdefghijkl' },
    })
    expect(JSON.stringify(line)).not.toMatch(/hunter2|abcdefghijkl/)
  })

  test('survives what JSON cannot write', () => {
    const cycle: Record<string, unknown> = {
      n: 1n,
      f: () => 1,
      at: new Date(0),
      bad: new Date(Number.NaN),
      error: new TypeError('no'),
    }
    cycle['self'] = cycle
    expect(json('x', cycle)).toMatchObject({
      n: '1',
      at: '1970-01-01T00:00:00.000Z',
      error: { type: 'TypeError', message: 'no' },
    })
  })

  test('is cut to 8 KiB and stays JSON', () => {
    const [line = ''] = linesOf({ format: 'json' }, logger =>
      logger.info('é'.repeat(50_000), { id: 'a', blob: 'b'.repeat(50_000) }),
    )
    expect(line.length).toBeLessThanOrEqual(8 * 1024)
    expect(JSON.parse(line)).toMatchObject({ id: 'a', truncated: true })
  })
})

describe('a pretty line', () => {
  const pretty = (message: string, fields?: object, color = false): string =>
    linesOf({ format: 'pretty', color }, logger => logger.warn(message, fields)).join('')

  test('shows time, level, message and what the message does not say', () => {
    expect(pretty('Task add[1] retry', { id: '1', task: 'add', attempt: 2 })).toMatch(
      /^\d\d:\d\d:\d\d\.000 WARN {2}Task add\[1\] retry attempt=2\n$/,
    )
  })

  test('neutralises escapes and direction marks', () => {
    const line = pretty('\x1b[2J\x9b1m\u202eevil', { key: '\x07' })
    // oxlint-disable-next-line no-control-regex
    expect(line).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/)
    expect(line).toContain(String.raw`\u001b[2J`)
  })

  test('indents further lines, so that none can pass for a line of its own', () => {
    expect(pretty('one\n12:00:00.000 INFO two')).toContain('\n    12:00:00.000 INFO two')
  })

  test('shows a traceback below, once', () => {
    expect(pretty('Task failed', { traceback: 'Error: no\n    at a.ts:1' })).toMatch(
      /Task failed\n {4}Error: no\n {8}at a\.ts:1\n$/,
    )
  })

  test('has colors only when told', () => {
    expect(pretty('x', {}, true)).toContain('\x1b[33m')
    expect(pretty('x')).not.toContain('\x1b')
  })
})

test('lines below the level are dropped', () => {
  expect(linesOf({ level: 'warn' }, logger => (logger.debug('a'), logger.info('b'), logger.error('c')))).toHaveLength(1)
})

import { expect, it } from 'vitest'
import {
  answersAddress,
  decodeAnswer,
  decodeCommand,
  encodeAnswer,
  encodeCommand,
} from '../../../src/protocol/pidbox.ts'
import type { WireMessage } from '../../../src/core/wire.ts'

const now = Date.UTC(2026, 10, 22)

function wire(body: unknown, headers: WireMessage['headers'] = {}): WireMessage {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return { properties: { contentType: 'application/json', contentEncoding: 'utf-8' }, headers, body: Buffer.from(text) }
}

it('reads what Celery sends', () => {
  // as captured from `app.control.inspect().registered()`
  const body = {
    method: 'registered',
    arguments: { taskinfoitems: [] },
    destination: null,
    pattern: null,
    matcher: null,
    ticket: 't-1',
    reply_to: { exchange: 'reply.celery.pidbox', routing_key: 'oid' },
  }
  expect(decodeCommand(wire(body, { clock: 3, expires: now / 1000 + 1 }), 'w@h', now)).toEqual({
    method: 'registered',
    args: { taskinfoitems: [] },
    destination: undefined,
    answerTo: { address: 'reply.celery.pidbox.oid', ticket: 't-1' },
  })
  const answerTo = { address: answersAddress('oid'), ticket: 't-1' }
  const own = encodeCommand({ method: 'registered', args: { taskinfoitems: [] }, answerTo }, now)
  expect(JSON.parse(String(own.body))).toEqual(body)
})

it.each([
  ['for others', { method: 'revoke', destination: ['other@h'] }, {}],
  ['too old', { method: 'revoke' }, { expires: now / 1000 - 1 }],
  ['no command', [1], {}],
  ['no JSON', 'revoke', {}],
  ['of no method', { arguments: {} }, {}],
])('heeds no command that is %s', (_what, body, headers) => {
  expect(decodeCommand(wire(body, headers), 'w@h', now)).toBeUndefined()
})

it('takes a command that names it', () => {
  expect(decodeCommand(wire({ method: 'revoke', destination: ['w@h'] }), 'w@h', now)).toMatchObject({ args: {} })
})

it('answers under its node name and the ticket', () => {
  const answer = encodeAnswer('w@h', 't-1', { ok: 'pong' })
  expect(decodeAnswer(answer, 't-1')).toEqual([['w@h', { ok: 'pong' }]])
  expect(decodeAnswer(answer, 't-2')).toEqual([])
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WireMessage } from '../../../src/core/wire.ts'
import { toDelivery, toMessageRow } from '../../../src/drivers/sqlite/messages.ts'
import { decodeTaskHeaders, emptyEmbed, encodeTask } from '../../../src/protocol/task-message.ts'

describe('the head of a message', () => {
  const emptyBody = { args: [], kwargs: {}, embed: emptyEmbed }
  const throughTheTable = (message: WireMessage): WireMessage => {
    const { head, body, queue } = toMessageRow({ id: 'a', queue: 'q', message })
    return toDelivery({ token: '1.9.1.1', queue, delivery: 1, crashes: 0, head, body }).message
  }

  it('says the same of a task as the headers it was sent with, in less than half', () => {
    const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
      fc.option(arbitrary, { nil: undefined })
    const instant = optional(fc.integer({ min: 0, max: 2 ** 41 }))
    const message = fc.record({
      id: fc.uuid(),
      task: fc.constant('resize'),
      retries: fc.nat(3),
      rootId: fc.constantFrom('root', ''),
      parentId: optional(fc.uuid()),
      etaAt: instant,
      expiresAt: instant,
      timeLimitMs: optional(fc.integer({ min: 1, max: 1e6 })),
      ignoreResult: optional(fc.boolean()),
      replacedTaskNesting: fc.nat(2),
      replyTo: optional(fc.constant('answers')),
      priority: fc.nat(9),
      headers: fc.dictionary(fc.string(), fc.jsonValue()),
    })
    fc.assert(
      fc.property(message, sent => {
        const wire = encodeTask({ ...sent, rootId: sent.rootId === '' ? sent.id : sent.rootId }, emptyBody)
        const read = decodeTaskHeaders(throughTheTable(wire))
        const expected = decodeTaskHeaders(wire)
        expect(JSON.stringify({ ...read, replacedTaskNesting: read.replacedTaskNesting ?? 0 })).toBe(
          JSON.stringify(expected),
        )
      }),
    )
    const plain = encodeTask({ id: 'a', task: 'resize', retries: 0, rootId: 'a', headers: {} }, emptyBody)
    const whole = JSON.stringify([plain.properties, plain.headers])
    expect(toMessageRow({ id: 'a', queue: 'q', message: plain }).head.length).toBeLessThan(whole.length / 2)
  })

  it('keeps what somebody else gave a meaning', () => {
    const headers = JSON.parse('{"id":"a","mine":null,"stamps":{"x":1},"__proto__":null,"eta":null}') as object
    const message: WireMessage = {
      properties: { contentType: 'application/json', contentEncoding: 'binary', correlationId: 'a' },
      headers: { ...headers },
      body: '',
    }
    const { properties, headers: read } = throughTheTable(message)
    expect(properties).toEqual(message.properties)
    expect(JSON.stringify(read)).toContain('"mine":null,"stamps":{"x":1}')
  })
})

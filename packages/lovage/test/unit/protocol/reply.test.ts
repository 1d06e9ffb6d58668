import { expect, it } from 'vitest'
import type { StateRecord } from '../../../src/core/record.ts'
import { replyMessage } from '../../../src/protocol/reply.ts'

const mebibyte = 1024 * 1024

function ended(text: string): StateRecord {
  const value = JSON.stringify(text)
  return { id: 'task', retries: 0, delivery: 1, seq: 1, at: Date.UTC(2030, 0), state: 'SUCCESS', value }
}

it('is Celery’s document, under the correlation id of who asked', () => {
  const { properties, body } = replyMessage(ended('x'), 'theirs')
  expect(properties).toMatchObject({ correlationId: 'theirs', contentType: 'application/json', deliveryMode: 1 })
  expect(JSON.parse(String(body))).toMatchObject({ task_id: 'task', status: 'SUCCESS', result: 'x' })
})

it.each([
  ['15 MiB', 'x'.repeat(15 * mebibyte), 'SUCCESS'],
  ['17 MiB', 'x'.repeat(17 * mebibyte), 'FAILURE'],
  // 3 bytes each
  ['6 Mi characters of 18 MiB', '€'.repeat(6 * mebibyte), 'FAILURE'],
  ['5 Mi characters of 15 MiB', '€'.repeat(5 * mebibyte), 'SUCCESS'],
])('of %s goes as it is, or says that it is too large for RabbitMQ', (_size, text, status) => {
  const body = String(replyMessage(ended(text), 'theirs').body)
  const document = JSON.parse(body) as { readonly status: string; readonly result: unknown }
  expect(document.status).toBe(status)
  if (status === 'SUCCESS') return
  expect(body.length).toBeLessThan(1000)
  expect(document.result).toMatchObject({
    exc_type: 'MessageTooLargeError',
    exc_message: [expect.stringMatching(/^The task ended in SUCCESS, but its result document has \d{8} bytes/)],
  })
})

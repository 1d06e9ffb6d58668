/** What the client writes frame by frame, through a real socket that is read slowly. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { coalesceWrites } from '../../../src/drivers/rabbitmq/coalesced-writes.ts'

/** Both ends; the first one's writes are coalesced. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const sender = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [receiver] = (await once(server, 'connection')) as [Socket]
  coalesceWrites(sender)
  return [sender, receiver]
}

it('keeps every byte in its order, whoever waits for drain is told, and the end comes after all', async () => {
  const [sender, receiver] = await pair()
  const [sent, received] = [createHash('sha1'), createHash('sha1')]
  receiver.on('data', (chunk: Buffer) => {
    received.update(chunk)
    // a reader that cannot keep up
    receiver.pause()
    setImmediate(() => receiver.resume())
  })
  let waits = 0
  for (let count = 0; count < 5000; count++) {
    const chunk = randomBytes(count % 50 === 0 ? 100_000 : count % 900)
    sent.update(chunk)
    if (sender.write(chunk)) continue
    waits++
    await once(sender, 'drain')
  }
  sender.end()
  await once(receiver, 'end')
  expect(waits).toBeGreaterThan(0)
  expect(received.digest('hex')).toBe(sent.digest('hex'))
})

it('sends what was written in one turn as one', async () => {
  const [sender, receiver] = await pair()
  await once(sender, 'connect')
  const before = sender.bytesWritten
  for (let count = 0; count < 100; count++) sender.write(Buffer.from(`${count},`))
  expect(sender.bytesWritten).toBe(before)
  const [first] = (await once(receiver, 'data')) as [Buffer]
  expect(first.toString()).toBe(Array.from({ length: 100 }, (_, count) => `${count},`).join(''))
  sender.destroy()
})

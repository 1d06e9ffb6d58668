// What the control stream keeps though it drops what is old.
import { describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { openPeer } from './support/rabbit.ts'

const longMs = 3_600_000
/** The stream keeps 16 MB; what is old is looked for twice a second. */
const filler = 'x'.repeat(20_000)

describe.skipIf(!hasRabbit)('Coordination on RabbitMQ', { timeout: 120_000 }, () => {
  it('keeps a key that others try to set in vain, over more than the stream holds', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    await using peer = await openPeer(rabbit.url(vhost))
    await peer.coordination.put('key', 'first', longMs)
    await peer.coordination.put('removed', 'gone', longMs)
    await peer.coordination.delete('removed')
    for (let written = 0; written < 24_000_000; written += filler.length) {
      await peer.coordination.put('filler', filler, longMs)
      expect(await peer.coordination.putIfAbsent('key', 'other', longMs)).toBe('first')
    }
    await using newcomer = await openPeer(rabbit.url(vhost))
    expect(await newcomer.coordination.get('key')).toBe('first')
    expect(await newcomer.coordination.get('removed')).toBeUndefined()
    await Promise.all([peer.close(), newcomer.close()])
    await rabbit.deleteVhost(vhost)
  })
})

// The control stream is deleted while processes use it, in the way that docs/rabbitmq.md advises in one case.
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { internals } from '../../src/app/internals.ts'
import { Lovage } from '../../src/app/lovage.ts'
import type { AsyncResult } from '../../src/app/types.ts'
import type { Coordination, KeyChange } from '../../src/coordination.ts'
import { TaskRevokedError } from '../../src/core/errors.ts'
import { pausePrefix, revokePrefix } from '../../src/core/keys.ts'
import { Project } from './support/project.ts'
import { openPeer } from './support/rabbit.ts'
import { stateOf } from './support/restarts.ts'
import { until } from './support/until.ts'

const longMs = 3_600_000
const tasks = `import { Lovage } from 'lovage'

export const app = new Lovage('controlled')
app.task('one', () => 1)
`

describe.skipIf(!hasRabbit)('The control stream on RabbitMQ, deleted in use', { timeout: 60_000 }, () => {
  it('has the keys again that a living process had read, and neither leases nor what nobody had read', async () => {
    const { url, deleteStream } = await freshVhost()
    await using gone = await openPeer(url)
    await gone.coordination.put('unread', 'x', longMs)
    await gone.close()
    await deleteStream()
    await using peer = await openPeer(url)
    await using other = await openPeer(url)
    await peer.coordination.put('key', 'first', longMs)
    await peer.coordination.put('removed', 'x', longMs)
    await peer.coordination.delete('removed')
    await peer.coordination.lease('leader', 'one', longMs)
    expect(await other.coordination.lease('leader', 'two', longMs)).toBeUndefined()
    const told: KeyChange[] = []
    await other.coordination.watchKeys('', change => told.push(change))
    await deleteStream()
    await untilKnownAgain(peer.coordination, 'key')
    expect(await other.coordination.putIfAbsent('key', 'second', longMs)).toBe('first')
    expect(await other.coordination.lease('leader', 'two', longMs)).toBeDefined()
    await peer.coordination.put('later', 'x', longMs)
    await until('a later key', () => told.some(({ key }) => key === 'later'))
    expect(told.filter(({ value }) => value === undefined)).toEqual([])
    await using newcomer = await openPeer(url)
    expect(await newcomer.coordination.list('')).toEqual([
      { key: 'key', value: 'first' },
      { key: 'later', value: 'x' },
    ])
  })

  it('holds pauses, honours revokes and knows idempotency keys of before and after, without a restart', async () => {
    const { url, deleteStream } = await freshVhost()
    const app = new Lovage('controlled', { brokerUrl: url })
    onTestFinished(() => app.close())
    await new Project({ tasks, env: { LOVAGE_BROKER_URL: url } }).worker({ args: ['-Q', 'celery,beside'] })
    const send = (options = {}): Promise<AsyncResult> => app.sendTask('one', [], {}, options)
    const runBeside = async (): Promise<unknown> => (await send({ queue: 'beside' })).get({ timeoutMs: 20_000 })
    const queue = app.queue('celery')
    await queue.pause()
    const revoked = [await send()]
    await revoked[0]?.revoke()
    const first = await send({ idempotencyKey: 'before' })

    await deleteStream()
    const { coordination } = await internals(app).backend()
    await untilKnownAgain(coordination, `${pausePrefix}celery`)
    expect(await send({ idempotencyKey: 'before' })).toMatchObject({ id: first.id, deduplicated: true })
    const second = await send({ idempotencyKey: 'after' })
    expect(await send({ idempotencyKey: 'after' })).toMatchObject({ id: second.id, deduplicated: true })
    revoked.push(await send())
    await revoked[1]?.revoke()
    await runBeside()
    await runBeside()
    for (const { id } of [first, second, ...revoked]) expect(await stateOf(app, id)).toMatchObject({ state: 'PENDING' })
    await using newcomer = await openPeer(url)
    const known = await newcomer.coordination.list(revokePrefix)
    expect(known.map(({ key }) => key)).toEqual(revoked.map(({ id }) => revokePrefix + id).toSorted())

    await queue.resume()
    for (const held of [first, second]) expect(await held.get({ timeoutMs: 20_000 })).toBe(1)
    for (const ended of revoked) await expect(ended.get({ timeoutMs: 20_000 })).rejects.toThrow(TaskRevokedError)
    await queue.pause()
    const left = await until('one that is not taken, while a later one of another queue is', async () => {
      const sent = await send()
      await runBeside()
      return (await stateOf(app, sent.id))?.state === 'PENDING' ? sent : undefined
    })
    await queue.resume()
    expect(await left.get({ timeoutMs: 20_000 })).toBe(1)
  })
})

async function freshVhost(): Promise<{ readonly url: string; readonly deleteStream: () => Promise<unknown> }> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost()
  onTestFinished(() => rabbit.deleteVhost(vhost))
  return { url: rabbit.url(vhost), deleteStream: () => rabbit.ctl(['delete_queue', '-p', vhost, 'lovage.control']) }
}

/** Keys are written again in their order: those before it are there too, those after it about to be. */
async function untilKnownAgain(coordination: Coordination, key: string): Promise<void> {
  await until(`${key} is known again`, async () => (await coordination.get(key)) !== undefined)
}

// A broker that is away while results are asked for: what this process has seen is the answer.
import { describe, expect, onTestFinished, test } from 'vitest'
import { hasRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import type { StoredState } from '../../src/core/record.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { RpcResults } from '../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../src/drivers/rabbitmq/session.ts'
import { record } from '../../src/testing/conformance/fixtures.ts'
import { until } from './support/until.ts'

describe.skipIf(!hasRabbit)('rpc:// results of a broker that is away', { timeout: 120_000 }, () => {
  test('are those this process has seen, unless fresh ones are wanted, and are followed on when it is back', async () => {
    await using server = await startRabbit()
    const session = new RabbitSession(parseLocation(server.url()))
    const store = new RpcResults(session, { app: 'away', relayTimeoutMs: 500 })
    onTestFinished(() => Promise.all([store.close(), session.close()]).then(() => undefined))
    await store.open()
    await store.put(record('task', 'STARTED'))
    expect(await store.get('task')).toMatchObject({ kind: 'state', state: { state: 'STARTED' } })
    await server.stop()
    expect(await store.get('task')).toMatchObject({ kind: 'state', state: { state: 'STARTED' } })
    expect(await store.get('other')).toMatchObject({ kind: 'unknown', reason: expect.stringMatching(/^other: .+/) })
    await expect(store.get('task', { isFresh: true })).rejects.toMatchObject({
      code: expect.stringMatching(/^E_BROKER/),
    })
    const seen: StoredState[] = []
    await store.watch(['task'], { onState: state => seen.push(state) })
    expect(seen.map(({ state }) => state)).toEqual(['STARTED'])
    await server.start()
    await until('a put', () => store.put(record('task', 'SUCCESS')).catch(() => false), { timeoutMs: 60_000 })
    await until('the end', () => seen.at(-1)?.state === 'SUCCESS', { timeoutMs: 60_000 })
  })
})

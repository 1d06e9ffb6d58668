// Delayed delivery is one topology for both: whoever declares it first, both sides' messages come out, each once.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../../test-support/rabbitmq.ts'
import { publication } from '../../../src/testing/conformance/fixtures.ts'
import { drain, openPeer } from '../../faults/support/rabbit.ts'
import { until } from '../../faults/support/until.ts'
import { findPythonCelery } from '../protocol/python-celery.ts'

const script = fileURLToPath(new URL('./declare_delay.py', import.meta.url))
/** Celery 5.5 has it first. */
const pythons = findPythonCelery().filter(({ version }) => Number.parseFloat(version) >= 5.5)
if (pythons.length === 0) console.warn('SKIPPED: delayed delivery with Celery, because no Celery from 5.5 on is here')

describe.skipIf(!hasRabbit)('delayed delivery', () => {
  for (const { python, version } of pythons) {
    it.each(['Lovage', 'Celery'])(
      `is shared with Celery ${version} when %s declares it first`,
      async first => {
        const rabbit = await sharedRabbit()
        const vhost = await rabbit.addVhost('delay')
        const declareInPython = (): void => void execFileSync(python, [script, rabbit.url(vhost)])
        if (first === 'Celery') declareInPython()
        await using direct = await openPeer(rabbit.url(vhost))
        await using topic = await openPeer(`${rabbit.url(vhost)}?queueType=quorum`)
        const sentAt = Date.now()
        for (const [peer, queue] of [
          [direct, 'direct'],
          [topic, 'topic'],
        ] as const) {
          const [outcome] = await peer.broker.publish([publication('from Lovage', { queue, notBefore: sentAt + 2500 })])
          expect(outcome).toEqual({ accepted: 'yes' })
        }
        if (first === 'Lovage') declareInPython()
        const sinks = [await drain(direct.broker, { queue: 'direct' }), await drain(topic.broker, { queue: 'topic' })]
        await until('both messages of both queues', () => sinks.every(({ ids }) => ids.size === 2))
        expect(Date.now()).toBeGreaterThanOrEqual(sentAt + 2000)
        for (const { seen } of sinks) expect(seen.length).toBe(2)
        await direct.close()
        await topic.close()
        await rabbit.deleteVhost(vhost)
      },
      60_000,
    )
  }
})

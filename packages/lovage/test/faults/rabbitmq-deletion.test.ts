// A queue that is deleted while its worker also holds messages of another one.
import { describe, expect, it } from 'vitest'
import { declarationOf, frameFilter } from '../../../../test-support/amqp-frames.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import type { Filter } from '../../../../test-support/tcp-proxy.ts'
import type { Delivery } from '../../src/broker.ts'
import { publication } from '../../src/testing/conformance/fixtures.ts'
import { openPeer } from './support/rabbit.ts'
import { until } from './support/until.ts'

describe.skipIf(!hasRabbit)('A worker of two queues on RabbitMQ', { timeout: 60_000 }, () => {
  it('keeps what it holds of one when the other is deleted, however late that is declared again', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    const late = new LateDeclaration('queue')
    await using proxy = await new TcpProxy(rabbit.address.port, { createFilter: late.createFilter }).listen()
    await using outside = await openPeer(rabbit.url(vhost))
    await using peer = await openPeer(`amqp://127.0.0.1:${proxy.port}/${vhost}?heartbeat=1`)
    const seen: Delivery[] = []
    const onDeliveries = (batch: readonly Delivery[]): void => void seen.push(...batch)
    await peer.broker.consume(['queue', 'other'], { prefetch: 3, consumer: 'test', onDeliveries })
    await outside.broker.publish(['first', 'second'].map(id => publication(id, { queue: 'other' })))
    const [first, second] = await until('two of the other queue', () => (seen.length === 2 ? seen : undefined))
    late.start()
    await rabbit.eval(
      `{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"${vhost}">>, queue, <<"queue">>)), rabbit_amqqueue:delete(Q, false, false, <<"tests">>), ok`,
    )
    await until('the queue to be declared again', () => late.heldCount > 0)
    expect(await settle(first)).toBe('settled')
    late.end()
    await outside.broker.publish([publication('third')])
    await until('one of the queue', () => seen.length === 3, { last: () => seen.map(({ queue }) => queue).join() })
    expect(await settle(second)).toBe('settled')
    expect(seen.map(({ redelivered }) => redelivered)).toEqual([false, false, false])
    await Promise.all([peer.close(), outside.close()])
    await rabbit.deleteVhost(vhost)

    function settle(delivery: Delivery | undefined): Promise<string> {
      if (delivery === undefined) throw new Error('nothing was delivered')
      return peer.broker.settle({ delivery, disposition: { kind: 'ack' } })
    }
  })
})

/** Keeps declarations of a queue back, until the second heartbeat after the end. */
class LateDeclaration {
  readonly #queue: string
  #state: 'passing' | 'holding' | 'ended' = 'passing'
  #heldCount = 0

  constructor(queue: string) {
    this.#queue = queue
  }

  get heldCount(): number {
    return this.#heldCount
  }

  start(): void {
    this.#state = 'holding'
  }

  end(): void {
    this.#state = 'ended'
  }

  readonly createFilter = (): Filter => {
    const held: Buffer[] = []
    let beats = 0
    const whole = frameFilter((frame, direction) => {
      if (direction === 'to-client') return true
      if (frame.type === 8 && this.#state === 'ended') beats++
      const declaration = declarationOf(frame)
      if (this.#state !== 'holding' || declaration?.what !== 'queue' || declaration.name !== this.#queue) return true
      held.push(Buffer.from(frame.bytes))
      this.#heldCount++
      return false
    })()
    return (chunk, direction) => {
      const rest = whole(chunk, direction)
      return direction === 'to-server' && beats > 1 ? Buffer.concat([...held.splice(0), rest]) : rest
    }
  }
}

// Large batches: a broker that answers slowly is waited for, one that is silent is not.
import { describe, expect, it } from 'vitest'
import { frameFilter } from '../../../../test-support/amqp-frames.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import type { Filter } from '../../../../test-support/tcp-proxy.ts'
import { RabbitConnection } from '../../src/drivers/rabbitmq/connection.ts'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { Publisher } from '../../src/drivers/rabbitmq/publisher.ts'
import type { Outgoing } from '../../src/drivers/rabbitmq/publisher.ts'
import { TestClock } from '../../src/testing/index.ts'
import { until } from './support/until.ts'

const timeoutMs = 10_000

describe.skipIf(!hasRabbit)('A batch of many messages for RabbitMQ', { timeout: 60_000 }, () => {
  it('has its time anew with each confirm, and is given up when none comes any more', async () => {
    const confirms = new HeldConfirms()
    await using lab = await openLab(() => confirms.filter)
    const { publisher, clock, connection } = lab
    const sending = publisher.publish(messages(5))
    await until('the confirms', () => confirms.heldCount === 5)
    for (let tag = 1; tag <= 4; tag++) {
      await clock.advance(0.9 * timeoutMs)
      confirms.release()
      // its answer comes right behind the confirm
      await connection.withChannel('ask anything', channel => channel.checkQueue('queue'))
    }
    await clock.advance(timeoutMs)
    const outcomes = await sending
    expect(outcomes.map(({ accepted }) => accepted)).toEqual(['yes', 'yes', 'yes', 'yes', 'unknown'])
  })

  it('learns which of its messages no queue took, also when one before it did not mind', async () => {
    const confirms = new HeldConfirms()
    await using lab = await openLab(() => confirms.filter)
    const message = { exchange: '', routingKey: 'nowhere', body: Buffer.from('x'), properties: {} }
    const sending = lab.publisher.publish([{ ...message, mandatory: false }, message])
    // a confirm may come late, a return does not
    await until('the confirms', () => confirms.heldCount === 2)
    confirms.release(2)
    await lab.connection.withChannel('ask anything', channel => channel.checkQueue('queue'))
    const outcomes = await sending
    expect(outcomes.map(({ accepted }) => accepted)).toEqual(['yes', 'no'])
    expect(outcomes[1]).toMatchObject({ error: { message: expect.stringMatching(/no queue "nowhere": .*Send again/) } })
  })
})

interface Lab extends AsyncDisposable {
  readonly clock: TestClock
  readonly connection: RabbitConnection
  readonly publisher: Publisher
}

async function openLab(createFilter: () => Filter): Promise<Lab> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost()
  const proxy = await new TcpProxy(rabbit.address.port, { createFilter }).listen()
  const clock = new TestClock()
  const location = parseLocation(`amqp://127.0.0.1:${proxy.port}/${vhost}`)
  const connection = new RabbitConnection({ location, name: 'test', clock })
  await connection.open()
  await connection.withChannel('declare', channel => channel.assertQueue('queue'))
  return {
    clock,
    connection,
    publisher: new Publisher(connection, { timeoutMs }),
    async [Symbol.asyncDispose]() {
      await connection.close()
      await proxy[Symbol.asyncDispose]()
      await rabbit.deleteVhost(vhost)
    },
  }
}

function messages(count: number): readonly Outgoing[] {
  const message = { exchange: '', routingKey: 'queue', body: Buffer.from('x'), properties: {} }
  return Array.from({ length: count }, () => message)
}

/** Keeps the broker's confirms back, and lets them go one by one with whatever comes next. */
class HeldConfirms {
  readonly filter: Filter
  /** The highest tag confirmed, given on, and to be given on. */
  #held = 0
  #given = 0
  #toGive = 0
  #channel = 0

  constructor() {
    const whole = frameFilter(({ type, channel, payload }, direction) => {
      const isConfirm = type === 1 && direction === 'to-client' && payload.readUInt32BE(0) === (60 << 16) + 80
      if (!isConfirm) return true
      this.#channel = channel
      this.#held = Math.max(this.#held, Number(payload.readBigUInt64BE(4)))
      return false
    })()
    this.filter = (chunk, direction) => {
      const rest = whole(chunk, direction)
      if (direction === 'to-server' || rest.length === 0) return rest
      const given: Buffer[] = []
      while (this.#given < this.#toGive) given.push(confirm(this.#channel, ++this.#given))
      return Buffer.concat([...given, rest])
    }
  }

  get heldCount(): number {
    return this.#held
  }

  release(count = 1): void {
    this.#toGive += count
  }
}

function confirm(channel: number, tag: number): Buffer {
  const frame = Buffer.alloc(21)
  frame.writeUInt8(1, 0)
  frame.writeUInt16BE(channel, 1)
  frame.writeUInt32BE(13, 3)
  frame.writeUInt32BE((60 << 16) + 80, 7)
  frame.writeBigUInt64BE(BigInt(tag), 11)
  frame.writeUInt8(0xce, 20)
  return frame
}

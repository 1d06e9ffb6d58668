import { describe } from 'vitest'
import { brokerConformance, coordinationConformance } from '../../src/testing/conformance/index.ts'
import { hasRabbit } from '../../../../test-support/rabbitmq.ts'
import { rabbitDriver } from './support/rabbit-driver.ts'

describe.skipIf(!hasRabbit)('RabbitMQ', () => {
  brokerConformance('rabbitmq', rabbitDriver())
  coordinationConformance('rabbitmq', rabbitDriver())
  brokerConformance('rabbitmq with priorities', rabbitDriver('?maxPriority=9'))
  brokerConformance('rabbitmq with quorum queues', rabbitDriver('?queueType=quorum'))
})

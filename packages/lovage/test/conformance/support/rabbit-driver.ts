import type { DriverOptions } from '../../../src/backend.ts'
import { rabbitBrokerCapabilities } from '../../../src/drivers/rabbitmq/broker.ts'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import { openRabbit } from '../../../src/drivers/rabbitmq/rabbitmq.ts'
import { rpcResultCapabilities } from '../../../src/drivers/rabbitmq/results/rpc-results.ts'
import type { ConformanceDriver } from '../../../src/testing/conformance/index.ts'
import { forkHolder } from './fork-holder.ts'
import { sharedRabbit } from '../../../../../test-support/rabbitmq.ts'

/** RabbitMQ with a virtual host for each namespace. @param query of the URL: `?queueType=quorum` */
export function rabbitDriver(query = ''): ConformanceDriver {
  return {
    broker: rabbitBrokerCapabilities(parseLocation(`amqp://localhost${query}`)),
    results: rpcResultCapabilities,
    vanish: true,
    async openNamespace(options: DriverOptions) {
      const rabbit = await sharedRabbit()
      const vhost = await rabbit.addVhost('conformance')
      return {
        connect: async () => openRabbit(rabbit.url(vhost) + query, options),
        openHolder: async () => forkHolder(rabbit.url(vhost) + query, options),
        drop: () => rabbit.deleteVhost(vhost),
      }
    },
  }
}

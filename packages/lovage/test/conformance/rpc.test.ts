/** The results half over a session of its own; the other halves are not opened by this suite. */
import { describe } from 'vitest'
import { parseLocation } from '../../src/drivers/rabbitmq/location.ts'
import { rpcResultCapabilities, RpcResults } from '../../src/drivers/rabbitmq/results/rpc-results.ts'
import { RabbitSession } from '../../src/drivers/rabbitmq/session.ts'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { memoryBrokerCapabilities } from '../../src/drivers/memory/broker.ts'
import { openMemory } from '../../src/drivers/memory/memory.ts'
import { resultStoreConformance } from '../../src/testing/conformance/index.ts'
import type { ConformanceDriver } from '../../src/testing/conformance/index.ts'

const rpc: ConformanceDriver = {
  broker: memoryBrokerCapabilities,
  results: rpcResultCapabilities,
  vanish: false,
  async openNamespace(options) {
    const server = await sharedRabbit()
    const vhost = await server.addVhost()
    return {
      async connect() {
        const session = new RabbitSession(parseLocation(server.url(vhost)))
        const results = new RpcResults(session, { app: 'conformance' })
        const { broker, coordination } = openMemory(new URL('memory:'), options)
        return {
          broker,
          coordination,
          results,
          description: 'rpc://',
          async close() {
            await results.close()
            await session.close()
          },
        }
      },
      drop: () => server.deleteVhost(vhost),
    }
  },
}

describe.skipIf(!hasRabbit)('rpc://', () => resultStoreConformance('rpc', rpc))

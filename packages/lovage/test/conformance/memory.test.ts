import { expect } from 'vitest'
import { memoryBrokerCapabilities } from '../../src/drivers/memory/broker.ts'
import { openMemory } from '../../src/drivers/memory/memory.ts'
import type { MemoryConnection, MemoryRegistry } from '../../src/drivers/memory/memory.ts'
import { memoryResultCapabilities } from '../../src/drivers/memory/results.ts'
import type { ConformanceDriver } from '../../src/testing/conformance/index.ts'
import {
  brokerConformance,
  coordinationConformance,
  createHolder,
  resultStoreConformance,
} from '../../src/testing/conformance/index.ts'

const memory: ConformanceDriver = {
  broker: memoryBrokerCapabilities,
  results: memoryResultCapabilities,
  vanish: true,
  async openNamespace(options) {
    const registry: MemoryRegistry = new Map()
    const connect = (): MemoryConnection => openMemory(new URL('memory://conformance'), options, registry)
    // keeps the namespace when a case closes all of its own
    const keeper = connect()
    const namespace = registry.get('conformance')?.namespace
    return {
      connect: async () => connect(),
      openHolder: async () => {
        const connection = connect()
        return createHolder(connection, () => connection.vanish())
      },
      async drop() {
        await keeper.close()
        expect({ openCount: namespace?.openCount(), namespaceCount: registry.size }).toEqual({
          openCount: 0,
          namespaceCount: 0,
        })
      },
    }
  },
}

brokerConformance('memory', memory)
resultStoreConformance('memory', memory)
coordinationConformance('memory', memory)

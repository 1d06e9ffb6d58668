import { describe } from 'vitest'
import { resultStoreConformance } from '../../src/testing/conformance/index.ts'
import { hasRabbit } from '../../../../test-support/rabbitmq.ts'
import { rabbitDriver } from './support/rabbit-driver.ts'

describe.skipIf(!hasRabbit)('rpc://', () => {
  resultStoreConformance('rpc', rabbitDriver())
})

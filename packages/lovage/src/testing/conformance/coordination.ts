/** The coordination seam's contract as tests. */
import { keyCases, watchKeyCases } from './coordination/keys.ts'
import { coordinationLifecycleCases, leaseCases, tokenBucketCases } from './coordination/leases.ts'
import type { ConformanceDriver } from './driver.ts'
import { defineSuite } from './suite.ts'

/** @param name of the driver, for the report. */
export function coordinationConformance(name: string, driver: ConformanceDriver): void {
  defineSuite(driver, {
    title: `${name}: coordination`,
    halves: ['coordination'],
    subjects: {
      keys: keyCases,
      'watching keys': watchKeyCases,
      leases: leaseCases,
      'token bucket': tokenBucketCases,
      lifecycle: coordinationLifecycleCases,
    },
  })
}

/** The result store seam's contract as tests. */
import type { ConformanceDriver } from './driver.ts'
import { expiryCases, listCases, resultLifecycleCases } from './results/keeping.ts'
import { factCases, precedenceCases } from './results/precedence.ts'
import { watchCases } from './results/watch.ts'
import { defineSuite } from './suite.ts'

/** @param name of the driver, for the report. */
export function resultStoreConformance(name: string, driver: ConformanceDriver): void {
  defineSuite(driver, {
    title: `${name}: result store`,
    halves: ['results'],
    subjects: {
      precedence: precedenceCases,
      facts: factCases,
      watch: watchCases,
      list: listCases,
      expiry: expiryCases,
      lifecycle: resultLifecycleCases,
    },
  })
}

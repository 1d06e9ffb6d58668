/** The broker seam's contract as tests. Call it from a test file of the driver, with a real server behind it. */
import { atomicSettleCases } from './broker/atomic-settle.ts'
import { lifecycleCases } from './broker/broker-lifecycle.ts'
import { countCases, purgeCases } from './broker/counts.ts'
import { deliveryCases } from './broker/delivery.ts'
import { interleavingCases } from './broker/interleavings.ts'
import { noticeCases } from './broker/notices.ts'
import { orderCases } from './broker/order.ts'
import { parkingCases } from './broker/parking.ts'
import { prefetchCases } from './broker/prefetch.ts'
import { publishCases } from './broker/publish.ts'
import { crashCases, fencingCases, redeliveryCases } from './broker/redelivery.ts'
import { settlementCases } from './broker/settlement.ts'
import type { ConformanceDriver } from './driver.ts'
import { defineSuite } from './suite.ts'

/** @param name of the driver, for the report. */
export function brokerConformance(name: string, driver: ConformanceDriver): void {
  defineSuite(driver, {
    title: `${name}: broker`,
    halves: driver.broker.atomicSettle ? ['broker', 'results'] : ['broker'],
    subjects: {
      publish: publishCases,
      delivery: deliveryCases,
      settlement: settlementCases,
      redelivery: redeliveryCases,
      'crash counting': crashCases,
      fencing: fencingCases,
      prefetch: prefetchCases,
      order: orderCases,
      parking: parkingCases,
      notices: noticeCases,
      counts: countCases,
      purge: purgeCases,
      'records with publish and settle': atomicSettleCases,
      lifecycle: lifecycleCases,
      interleavings: interleavingCases,
    },
  })
}

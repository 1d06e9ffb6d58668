/** `lovage/testing/conformance`: an outside driver proves itself with these suites, as ours do. Needs Vitest. */
export { brokerConformance } from './broker.ts'
export { coordinationConformance } from './coordination.ts'
export type { ConformanceDriver, ConformanceNamespace, DoomedHolder } from './driver.ts'
export { createHolder } from './holder.ts'
export { lifecycleConformance } from './lifecycle.ts'
export type { LifecycleDriver, LifeObject } from './lifecycle.ts'
export { resultStoreConformance } from './results.ts'

import type { ChaosDriver } from './driver.ts'
import { sqlite } from './sqlite.ts'

export const drivers: readonly ChaosDriver[] = [sqlite]

export const driverNames: readonly string[] = drivers.map(({ name }) => name)

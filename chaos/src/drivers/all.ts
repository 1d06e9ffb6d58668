import type { ChaosDriver } from './driver.ts'
import { rabbitmq } from './rabbitmq.ts'
import { sqlite } from './sqlite.ts'

export const drivers: readonly ChaosDriver[] = [sqlite, rabbitmq]

export const driverNames: readonly string[] = drivers.map(({ name }) => name)

import { bounds } from './bounds.ts'
import { browser } from './browser.ts'
import { depth } from './depth.ts'
import { endToEnd } from './end-to-end.ts'
import { enqueue, enqueueOne } from './enqueue.ts'
import { execute } from './execute.ts'
import { progress } from './progress.ts'
import { rabbitmq } from './rabbitmq.ts'
import { roundTrip } from './round-trip.ts'
import type { Row } from './row.ts'
import { idle, start } from './worker.ts'

export const rows: readonly Row[] = [
  enqueue,
  enqueueOne,
  execute,
  endToEnd,
  roundTrip,
  progress,
  browser,
  idle,
  start,
  depth,
  bounds,
  ...rabbitmq,
]

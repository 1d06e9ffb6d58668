/** Tasks that are sent while their broker is stopped and killed, and what has become of each. */
import type { RabbitServer } from '../../../../../test-support/rabbitmq-server.ts'
import { internals } from '../../../src/app/internals.ts'
import type { Lovage } from '../../../src/app/lovage.ts'
import type { AsyncResult } from '../../../src/app/types.ts'
import type { StoredState } from '../../../src/core/record.ts'
import { until } from './until.ts'

export interface Storm {
  readonly server: RabbitServer
  readonly app: Lovage
  /** So many stops, and as many kills. */
  readonly roundCount: number
  readonly taskCount: number
  /** Of the n-th task. */
  readonly nameOf: (n: number) => string
}

/** Faster than they are run: whoever is stopped or killed is in the midst of it. */
const laneCount = 16

/** The number of each task that was confirmed, by its id. */
export async function sendThroughStorm({ server, ...storm }: Storm): Promise<ReadonlyMap<string, number>> {
  const { roundCount, taskCount } = storm
  const sent = new Map<string, number>()
  const sending = sendAll(storm, sent)
  for (let round = 0; round < 2 * roundCount; round++) {
    const goal = Math.floor(((round + 0.5) * taskCount) / (2 * roundCount))
    await until(`${goal} tasks sent`, () => sent.size >= goal, { timeoutMs: 120_000 })
    await server[round % 2 === 0 ? 'stop' : 'kill']()
    await server.start()
  }
  await sending
  return sent
}

/** What was confirmed goes to `sent`; what may have been is sent again, under another id. */
async function sendAll({ app, taskCount, nameOf }: Omit<Storm, 'server'>, sent: Map<string, number>): Promise<void> {
  let next = 0
  const send = async (): Promise<void> => {
    while (next < taskCount) {
      const n = next++
      let result: AsyncResult | undefined
      while (result === undefined) result = await app.sendTask(nameOf(n), [n]).catch(() => undefined)
      sent.set(result.id, n)
    }
  }
  await Promise.all(Array.from({ length: laneCount }, send))
}

export async function stateOf(app: Lovage, id: string): Promise<StoredState | undefined> {
  const { results } = await internals(app).backend()
  const found = await results.get(id)
  return found.kind === 'state' ? found.state : undefined
}

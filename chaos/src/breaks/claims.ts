/** Bugs in who has a message, for how long, and how it is known that there is one. */
import type { Break } from './break.ts'

export const claimBreaks: Readonly<Record<string, Break>> = {
  'non-atomic-claim': {
    what: 'looked up now, claimed later, without another look: two workers have the same message',
    foundAs: ['ran twice without a cause'],
    edits: {
      'drivers/sqlite/message-table.ts': [
        {
          from: 'const rows = this.#statements.look.all(queue.id, queue.id, limit) as unknown as ClaimedRow[]',
          to: `const ahead = (globalThis.ahead ??= new Map())
    const known = ahead.get(name) ?? []
    const rows = known.length > 0 ? known.splice(0, limit) : this.#statements.look.all(queue.id, queue.id, limit)
    ahead.set(name, known.length > 0 ? known : this.#statements.look.all(queue.id, queue.id, limit * 4).slice(limit))`,
        },
      ],
    },
    focus: { rate: 200 },
  },
  'no-fencing': {
    what: 'a token that counts no more settles all the same: a frozen worker acknowledges what another one has',
    foundAs: ['trouble', 'lost'],
    edits: {
      'drivers/sqlite/message-table.ts': [
        {
          from: '`key = ${keyOf} AND delivery = ? AND owner = ?`',
          to: '`key = ${keyOf} AND ? IS NOT NULL AND ? IS NOT NULL`',
        },
      ],
    },
    focus: { mix: { flaky: 50, nap: 30, early: 40, long: 10 }, freezesPerMinute: 60, killsPerMinute: 30 },
  },
  'wall-clock-lease': {
    what: 'leases are measured by each process’s own wall clock, and the clocks of some jump by five seconds',
    foundAs: ['ran twice without a cause'],
    edits: {
      'core/clock.ts': [
        {
          from: 'monotonic: () => Number(process.hrtime.bigint()) / 1e6',
          to: 'monotonic: () => Date.now() + (process.pid % 2 === 1 && Math.floor(Date.now() / 5000) % 2 === 1 ? 5000 : 0)',
        },
      ],
    },
    focus: { mix: { long: 10, nap: 60, steps: 20 }, killsPerMinute: 20 },
  },
  'forget-lease-renewal': {
    what: 'a lease is never renewed: workers that live are judged dead',
    foundAs: ['ran twice without a cause'],
    edits: {
      'drivers/sqlite/owner-table.ts': [
        { from: 'return this.#renew.run(monotonic + this.#leaseMs, Date.now(), id).changes > 0', to: 'return id > 0' },
      ],
    },
    focus: { mix: { long: 10, nap: 60, steps: 20 }, killsPerMinute: 10, freezesPerMinute: 0 },
  },
  'lost-wakeup': {
    what: 'nobody is told of a commit, and the tick that stands behind does not look: a task waits on an idle system',
    foundAs: ['trouble'],
    edits: {
      'drivers/sqlite/wake-file.ts': [{ from: 'touch(): void {', to: 'touch(): void {\n    return' }],
      'drivers/sqlite/chores.ts': [
        { from: 'const hasNews = version !== this.#dataVersion', to: 'const hasNews = false' },
      ],
    },
    focus: { minutes: 0.3 },
  },
  'eta-ignored': {
    what: 'a task that is to wait is handed out at once',
    foundAs: ['started before it was due'],
    edits: {
      'drivers/sqlite/message-table.ts': [
        { from: 'notBefore !== undefined && notBefore > Date.now()', to: 'notBefore === 0' },
      ],
      'worker/decide.ts': [
        { from: 'request.etaAt !== undefined && request.etaAt > facts.now', to: 'request.etaAt === 0' },
      ],
    },
    focus: { minutes: 0.3 },
  },
}

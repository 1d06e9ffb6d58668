/** Bugs in what a worker decides. */
import type { Break } from './break.ts'

export const workerBreaks: Readonly<Record<string, Break>> = {
  'forget-revoke': {
    what: 'a revoke reaches only what a worker has at that moment: what waits runs all the same',
    foundAs: ['started after its revoke'],
    edits: {
      'worker/revokes.ts': [
        {
          from: 'find(id: string): RevokeRequest | undefined {',
          to: 'find(id: string): RevokeRequest | undefined {\n    return undefined',
        },
      ],
    },
    focus: { mix: { doomed: 30, nap: 70 } },
  },
  'expire-ignored': {
    what: 'a task that has expired is run',
    foundAs: ['started after it expired'],
    edits: {
      'worker/decide.ts': [
        { from: 'request.expiresAt !== undefined && request.expiresAt <= now', to: 'request.expiresAt === 0' },
      ],
      'worker/executor.ts': [
        { from: 'expiresAt !== undefined && expiresAt <= this.#options.clock.now()', to: 'expiresAt === 0' },
      ],
    },
    focus: { mix: { expiring: 30, nap: 70 } },
  },
  'early-ack-runs-again': {
    what: 'a task that acknowledges early runs again when its worker has died',
    foundAs: ['early twice'],
    edits: { 'worker/decide.ts': [{ from: '!policy.acksLate && stored', to: '!policy && stored' }] },
    focus: { mix: { early: 60, nap: 40 }, killsPerMinute: 60 },
  },
}

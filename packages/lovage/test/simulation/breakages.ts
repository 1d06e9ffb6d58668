/**
 * Builds with one safety taken out: the checks must notice each. Most have a namesake in the chaos harness, which takes
 * the same safety out of the real source, in the way that is possible there.
 */
export const breakages = {
  'ack-before-store': 'the message is acknowledged before its result is stored',
  'ack-on-receive': 'a delivery is acknowledged as soon as it is there',
  'bare-parking': 'what is parked loses its headers',
  'double-settle': 'a settlement that comes too late still sends its successors',
  'early-ack-runs-again': 'a task that may not run twice is treated like any other',
  'eta-ignored': 'neither broker nor worker waits for an eta',
  'expire-ignored': 'a worker does not see that a task has expired',
  'final-is-replaced': 'the store takes a final state for any other',
  'forget-crash-count': 'the death of a holder is not counted',
  'forget-lease-renewal': 'a heartbeat does not prolong the lease',
  'forget-revoke': 'a worker that starts is not told of earlier revokes',
  'leaked-timer': 'a worker that stops forgets a timer',
  'lose-successor': 'a settlement does not send its successors',
  'lost-wakeup': 'nothing looks behind a wake-up that was lost',
  'no-fencing': 'whoever names a message may settle it, whatever its token',
  'non-atomic-claim': 'a claim takes the message in one step and notes its holder in another',
  'publish-resolves-before-commit': 'a caller is told that a task is accepted before it is',
  'requeue-without-crash': 'a run lost with its thread is given back as if nothing had happened',
  'skip-final-check-on-redelivery': 'a redelivery is run without a look at the store',
  'two-keys': 'an idempotency key is set whether it was there or not',
  'unlimited-pool': 'the pool runs whatever it is given',
  'unversioned-put': 'the store keeps what was written last',
  'wall-clock-lease': 'leases are judged by the wall clock',
} as const
export type Breakage = keyof typeof breakages

export function isBreakage(name: string): name is Breakage {
  return Object.hasOwn(breakages, name)
}

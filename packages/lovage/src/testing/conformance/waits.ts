/** Waiting with an end. */
import { sleep, systemClock } from '../../core/clock.ts'

/** A wait that takes longer is a fault. */
const deadlineMs = 3000

/** What a promise gives, if it does in time. */
export async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = systemClock.after(deadlineMs, () => reject(new Error(`Not within ${deadlineMs} ms: ${what}`)))
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.cancel()
  }
}

/** Waits for what gives no signal: asks every 10 ms. */
export async function eventually(
  isTrue: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  const until = systemClock.monotonic() + deadlineMs
  while (!(await isTrue())) {
    if (systemClock.monotonic() > until)
      throw new Error(`Not within ${deadlineMs} ms: ${typeof what === 'string' ? what : what()}`)
    await sleep(systemClock, 10)
  }
}

/** Time, injected. The only file in `src` that touches timers and the machine's clocks. */

/** A started timer. `cancel` is idempotent. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time, epoch milliseconds: for messages and for people. It may jump. */
  now(): number
  /** Milliseconds since some fixed point, never backwards, the same for all processes of one boot: for waiting, leases and order. */
  monotonic(): number
  /** Calls `run` once, `ms` milliseconds from now. The timer does not keep the process alive when `ref` is false (default true). */
  after(ms: number, run: () => void, options?: { readonly ref?: boolean }): Timer
  /** Calls `run` every `ms` milliseconds until cancelled. The timer never keeps the process alive. */
  every(ms: number, run: () => void): Timer
}

/** setTimeout fires at once for more than 2^31-1 ms; longer waits are chained. */
const longestTimeoutMs = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Number(process.hrtime.bigint()) / 1e6,
  after(ms, run, options) {
    let handle: NodeJS.Timeout
    const arm = (left: number): void => {
      handle = setTimeout(
        () => (left > longestTimeoutMs ? arm(left - longestTimeoutMs) : run()),
        Math.min(left, longestTimeoutMs),
      )
      if (options?.ref === false) handle.unref()
    }
    arm(Math.max(0, ms))
    return { cancel: () => clearTimeout(handle) }
  },
  every(ms, run) {
    const handle = setInterval(run, ms)
    handle.unref()
    return { cancel: () => clearInterval(handle) }
  },
}

/**
 * Resolves `ms` milliseconds from now.
 * @throws `signal.reason` as soon as `signal` aborts, at once when it already has.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    function onAbort(): void {
      timer.cancel()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Runs `run` after the current turn of the event loop: all calls of one turn travel as one batch. */
export function endOfTurn(run: () => void): void {
  setImmediate(run)
}

const firstMs = 500
const longestMs = 30_000
/** Gentler than doubling: after a restart of five seconds the next try is still at most four away. */
const growth = 1.5

/**
 * How long to wait before the try after `failures` failed ones (0 for the first), with full jitter, so that ten
 * thousand pages do not come back in one instant. @param random 0 ≤ x < 1
 */
export function reconnectDelayMs(failures: number, random: number): number {
  return random * Math.min(longestMs, firstMs * growth ** Math.min(failures, 20))
}

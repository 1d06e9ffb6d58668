/**
 * What the client takes from the browser, in one place, so that tests can give it a clock, a network and tabs of their
 * own. Beside core/clock.ts the only file that knows timers: that one needs Node. Nothing is touched before it is used,
 * so importing this on a server is harmless.
 */
import type { Clock } from '../../core/clock.ts'

export interface Host {
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** 0 ≤ x < 1. */
  random(): number
  fetch(url: string, init: RequestInit): Promise<Response>
  /** Absent where the page is no secure context. */
  readonly locks: LockManager | undefined
  openChannel(name: string): BroadcastChannel | undefined
  /** Absent where the user forbids it. */
  readonly storage: Storage | undefined
  isHidden(): boolean
  /** The network is back, or the page is looked at again. */
  onWake(wake: () => void): void
  /** The page goes, perhaps only into the back/forward cache. */
  onHide(hide: () => void): void
}

export function browserHost(): Host {
  return {
    clock: browserClock,
    random: () => Math.random(),
    fetch: (url, init) => fetch(url, init),
    locks: navigator.locks,
    openChannel: name => (typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(name)),
    storage: ownStorage(),
    isHidden: () => document.visibilityState === 'hidden',
    onWake(wake) {
      addEventListener('online', wake)
      addEventListener('pageshow', wake)
      document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && wake())
    },
    onHide: hide => addEventListener('pagehide', hide),
  }
}

export const browserClock: Pick<Clock, 'now' | 'after'> = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Merely reading the property throws where the user forbids it. */
function ownStorage(): Storage | undefined {
  try {
    return localStorage
  } catch {
    return undefined
  }
}

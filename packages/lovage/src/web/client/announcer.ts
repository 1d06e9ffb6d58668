/**
 * Says to screen readers what sighted people see move: start, quarters and end, at least ten seconds apart for the whole
 * page, however many tasks it shows; a failure at once. One polite and one assertive region, shared by all elements.
 */
import type { Host } from './host.ts'

export interface Announcer {
  /** @param key whose text replaces an unsaid earlier one: a task's */
  say(key: string, text: string): void
  alarm(text: string): void
}

const pauseMs = 10_000

export function createAnnouncer(clock: Host['clock']): Announcer {
  const unsaid = new Map<string, string>()
  let quietUntil = 0
  let isWaiting = false
  let polite: HTMLElement | undefined
  let assertive: HTMLElement | undefined

  return {
    say(key, text) {
      unsaid.set(key, text)
      polite ??= addRegion('status')
      if (isWaiting) return
      isWaiting = true
      // a region is read only when its text changes after it came into the page
      clock.after(Math.max(200, quietUntil - clock.now()), speak)
    },
    alarm(text) {
      assertive ??= addRegion('alert')
      clock.after(200, () => assertive?.replaceChildren(text))
    },
  }

  function speak(): void {
    isWaiting = false
    quietUntil = clock.now() + pauseMs
    polite?.replaceChildren([...unsaid.values()].join(' '))
    unsaid.clear()
  }
}

function addRegion(role: string): HTMLElement {
  const region = document.createElement('div')
  region.role = role
  region.className = 'lovage-unseen'
  document.body.append(region)
  return region
}

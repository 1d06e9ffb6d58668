import type { Host } from './host.ts'

const slotCount = 2
/** Renewed three times within it, even where the browser lets a hidden page's timers run once a minute only. */
const leaseMs = 200_000

/**
 * One of the two streams that tabs may have which cannot talk to each other; `undefined` when both are taken. Kept in
 * the browser's storage; where that is forbidden, every tab has one. A tab that dies frees its own within the lease.
 */
export function claimSlot(host: Host, name: string): { free(): void } | undefined {
  const { storage, clock } = host
  if (storage === undefined) return { free: () => undefined }
  for (let slot = 0; slot < slotCount; slot += 1) {
    const key = `${name}:${String(slot)}`
    if (Number(storage.getItem(key) ?? 0) < clock.now()) return hold(host, storage, key)
  }
  return undefined
}

function hold({ clock }: Host, storage: Storage, key: string): { free(): void } {
  let timer: { cancel(): void }
  renew()
  return { free }

  function renew(): void {
    storage.setItem(key, String(clock.now() + leaseMs))
    timer = clock.after(leaseMs / 3, renew)
  }

  function free(): void {
    timer.cancel()
    storage.removeItem(key)
  }
}

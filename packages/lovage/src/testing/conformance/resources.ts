/** What keeps a process alive: timers, threads, handles. */
import { eventually } from './waits.ts'

/**
 * Runs a round twice and compares what is open after each: what a process opens once and keeps is its own affair.
 * @throws when more is open after the second round than after the first.
 */
export async function leavesNothingOpen(round: () => Promise<void>): Promise<void> {
  await round()
  const before = process.getActiveResourcesInfo()
  await round()
  await eventually(
    () => process.getActiveResourcesInfo().length <= before.length,
    () => `no more open than [${before.join(' ')}], but [${process.getActiveResourcesInfo().join(' ')}]`,
  )
}

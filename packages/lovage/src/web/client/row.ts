/** One task on the page: its panel, what the person did about cancelling it, and what was said of it aloud. */
import type { ElementKit } from './mount.ts'
import type { Formats } from './formats.ts'
import { browserClock } from './host.ts'
import { fill } from './messages.ts'
import { createPanel, type Panel } from './panel.ts'
import type { Shown } from './reducer.ts'
import type { HandleView } from './task-client.ts'
import { type Cancelling, slowCancelMs, toWords, type Words } from './words.ts'

export interface Row {
  readonly panel: Panel
  /** Returns whether a figure in it counts down, so that it wants to be drawn again in a second. */
  draw(task: Shown | undefined, view: HandleView, label: string): boolean
}

export interface RowOptions {
  readonly kit: ElementKit
  readonly formats: Formats
  readonly revoke: () => Promise<void>
  readonly redraw: () => void
}

export function createRow({ kit, formats, revoke, redraw }: RowOptions): Row {
  const { messages, announcer } = kit
  let cancelling: Cancelling
  let before: Shown | undefined
  const panel = createPanel(() => void cancel())
  return { panel, draw }

  function draw(task: Shown | undefined, { link, gone, heardAt }: HandleView, label: string): boolean {
    const situation = { shown: task, link, gone, heardAt, cancelling, label, now: browserClock.now() }
    const words = toWords(situation, messages, formats)
    panel.update(words)
    if (before !== undefined && task !== undefined) announce(before, task, words)
    before = task
    return words.isTicking
  }

  async function cancel(): Promise<void> {
    setCancelling('asked')
    try {
      await revoke()
      browserClock.after(slowCancelMs, () => setCancelling('slow'))
    } catch {
      setCancelling('failed')
    }
  }

  function setCancelling(to: Cancelling): void {
    cancelling = to
    redraw()
  }

  function announce(from: Shown, to: Shown, { title, state, valueText, error }: Words): void {
    const { ready } = to.snapshot
    if (from.snapshot.ready) return
    if (error !== '') announcer.alarm(fill(messages.said, { title, text: formats.list([state, error]) }))
    else if (ready || milestone(from) !== milestone(to))
      announcer.say(to.snapshot.id, fill(messages.said, { title, text: ready ? state : valueText }))
  }
}

/** Waiting, begun, a quarter, half, three quarters. */
function milestone({ snapshot, percent }: Shown): number {
  return snapshot.version[3] < 2 ? -1 : Math.min(3, Math.floor((percent ?? 0) / 25))
}

/** From what is known of a task to what is read of it. Pure: the elements only put these texts into text nodes. */
import type { GoneReason, PublicSnapshot } from '../contract.ts'
import type { Formats } from './formats.ts'
import { fill, type Messages } from './messages.ts'
import type { Shown } from './reducer.ts'
import type { LinkState } from './task-client.ts'

/**
 * What the person at this page did about cancelling. `asked`: waiting for the answer; `slow`: the task goes on although
 * it was asked; `failed`: the request was not taken.
 */
export type Cancelling = 'asked' | 'slow' | 'failed' | undefined

export interface Situation {
  readonly shown: Shown | undefined
  readonly link: LinkState
  readonly gone: GoneReason | undefined
  readonly heardAt: number | undefined
  readonly cancelling: Cancelling
  readonly label: string
  readonly now: number
}

export interface Words {
  readonly title: string
  /** The icon and the colour: one of a few kinds, whatever the state's name. */
  readonly kind: 'waiting' | 'running' | 'retrying' | 'done' | 'failed' | 'stopped' | 'gone'
  readonly state: string
  /** 0–100; undefined: the bar says only that something goes on. */
  readonly percent: number | undefined
  readonly hasBar: boolean
  /** It goes on, and nobody knows how far it is. */
  readonly isMoving: boolean
  readonly percentText: string
  readonly detail: string
  readonly remaining: string
  readonly note: string
  readonly error: string
  readonly reference: string
  /** The whole of the bar in words. */
  readonly valueText: string
  readonly canCancel: boolean
  /** On the button, and with the task's title for those who hear it out of its place. */
  readonly cancelText: string
  readonly cancelLabel: string
  readonly isCancelling: boolean
  /** Something in it counts down. */
  readonly isTicking: boolean
}

/** How long a task may go on after it was asked to stop before the page says so: the worker's grace and a little. */
export const slowCancelMs = 12_000

export function toWords(situation: Situation, messages: Messages, formats: Formats): Words {
  const { shown, label } = situation
  const snapshot = shown?.snapshot
  const hasBar = situation.gone === undefined
  const isRunning = snapshot?.ready === false && snapshot.version[3] >= 2 && snapshot.state !== 'RETRY'
  const percentText = hasBar && shown?.percent !== undefined ? formats.percent(shown.percent) : ''
  const detail = detailOf(situation, messages, formats)
  const remaining = remainingOf(situation, messages, formats)
  const isCancelling =
    snapshot?.ready === false && (situation.cancelling === 'asked' || situation.cancelling === 'slow')
  const title = label || (snapshot?.title ?? snapshot?.name ?? messages.task)
  return {
    title,
    kind: kindOf(situation),
    state: isCancelling ? messages.cancelling : stateOf(situation, messages),
    percent: shown?.percent,
    hasBar,
    isMoving: isRunning && shown?.percent === undefined,
    percentText,
    detail,
    remaining,
    note: noteOf(situation, messages, formats),
    error: errorOf(situation, messages),
    reference:
      snapshot?.state === 'FAILURE' ? fill(messages.reference, { reference: snapshot.error?.reference ?? '' }) : '',
    valueText: formats.list(
      [percentText || stateOf(situation, messages), detail, remaining].filter(text => text !== ''),
    ),
    canCancel: snapshot?.ready === false && snapshot.can.includes('revoke') && situation.gone === undefined,
    cancelText: messages.cancel,
    cancelLabel: fill(messages.cancelTask, { title }),
    isCancelling,
    isTicking: remaining !== '' || snapshot?.state === 'RETRY',
  }
}

function kindOf({ shown, gone }: Situation): Words['kind'] {
  if (gone !== undefined) return 'gone'
  switch (shown?.snapshot.state) {
    case undefined:
    case 'PENDING':
    case 'RECEIVED':
      return 'waiting'
    case 'RETRY':
      return 'retrying'
    case 'SUCCESS':
      return 'done'
    case 'FAILURE':
      return 'failed'
    case 'REVOKED':
      return 'stopped'
    default:
      return 'running'
  }
}

function stateOf({ shown, gone }: Situation, messages: Messages): string {
  if (gone !== undefined) return messages.goneState
  const state = shown?.snapshot.state
  if (state === undefined) return messages.connecting
  if (reasonOf(shown?.snapshot) === 'expired') return messages.expiredState
  return /^[A-Z]+$/.test(state) && state in messages ? messages[state as keyof Messages] : messages.custom
}

function reasonOf(snapshot: PublicSnapshot | undefined): string | undefined {
  return (snapshot as { readonly reason?: string } | undefined)?.reason
}

function detailOf({ shown, now }: Situation, messages: Messages, formats: Formats): string {
  if (shown === undefined || shown.snapshot.ready) return ''
  const { progress, queue, state } = shown.snapshot
  if (state === 'RETRY') return retryOf(shown.snapshot, now, { messages, formats })
  if (state === 'PENDING') return queueOf(queue, messages, formats)
  if (progress === undefined) return ''
  const { current, total, unit = '', message, phase } = progress
  const counts = { current: formats.number(current), total: formats.number(total ?? 0), unit }
  const known = unit === '' ? messages.count : messages.countUnit
  const soFar = unit === '' ? '' : messages.soFar
  const count = fill(total === undefined ? soFar : known, counts)
  return formats.list([message ?? phase ?? '', count].filter(text => text !== ''))
}

function queueOf(queue: PublicSnapshot['queue'], messages: Messages, formats: Formats): string {
  if (queue?.workers === 0) return messages.noWorker
  if (queue?.position === undefined) return ''
  return queue.position <= 1 ? messages.next : fill(messages.position, { position: formats.number(queue.position) })
}

function remainingOf({ shown, now, link }: Situation, messages: Messages, formats: Formats): string {
  const { finishAt, snapshot } = shown ?? {}
  // a figure that nobody corrects any more is a guess
  if (finishAt === undefined || finishAt <= now || link === 'reconnecting') return ''
  const message = snapshot?.remaining?.confidence === 'usual' ? messages.usuallyLeft : messages.left
  return fill(message, { duration: formats.estimate(finishAt - now) })
}

function noteOf(situation: Situation, messages: Messages, formats: Formats): string {
  const { shown, link, heardAt, cancelling } = situation
  const snapshot = shown?.snapshot
  if (link === 'reconnecting')
    return heardAt === undefined
      ? messages.reconnecting
      : fill(messages.reconnectingSince, { time: formats.time(heardAt) })
  if (cancelling === 'failed') return messages.cancelFailed
  if (cancelling === 'slow' && snapshot?.ready === false) return messages.notInterrupted
  if (cancelling !== undefined && snapshot?.ready === true && snapshot.state !== 'REVOKED')
    return messages.finishedFirst
  if (reasonOf(snapshot) === 'expired') return messages.notStarted
  if (shown?.why !== undefined) return messages[shown.why]
  const isLaterAttempt = snapshot?.ready === false && snapshot.attempt > 1 && snapshot.state !== 'RETRY'
  return isLaterAttempt ? fill(messages.attempt, { attempt: formats.number(snapshot.attempt) }) : ''
}

function retryOf(
  snapshot: PublicSnapshot,
  now: number,
  { messages, formats }: { readonly messages: Messages; readonly formats: Formats },
): string {
  const { error, retryAt } = snapshot as Extract<PublicSnapshot, { state: 'RETRY' }>
  const waitMs = Date.parse(retryAt) - now
  return fill(waitMs > 0 ? messages.retryIn : messages.retryNow, {
    attempt: formats.number(snapshot.attempt),
    reason: error.message || messages.failed,
    duration: formats.countdown(waitMs),
  })
}

function errorOf({ shown, gone }: Situation, messages: Messages): string {
  if (gone !== undefined) return messages[gone]
  return shown?.snapshot.state === 'FAILURE'
    ? (shown.snapshot.error?.message ?? messages.failed) || messages.failed
    : ''
}

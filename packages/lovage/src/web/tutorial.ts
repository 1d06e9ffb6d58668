/** The answer of the tutorial's `/task-status/<id>/`, for pages that poll it. */
import type { Snapshot } from '../app/types.ts'
import { toPublicError } from './public-snapshot.ts'

export interface TutorialStatus {
  readonly task_id: string
  readonly state: string
  /** Per cent in PROGRESS, 100 in SUCCESS, else the text. */
  readonly progression: number | 'None'
  /** What went wrong, for people, else the text `None`. */
  readonly info: string
}

/** An id that nobody knows has no snapshot: answer that with 404. */
export function tutorialStatus(snapshot: Snapshot): TutorialStatus {
  const { id, state } = snapshot
  return { task_id: id, state, progression: progression(snapshot), info: info(snapshot) }
}

/** Without a total there is no percentage to tell. */
function progression({ state, progress }: Snapshot): number | 'None' {
  if (state === 'SUCCESS') return 100
  return state === 'PROGRESS' && progress?.percent !== undefined ? progress.percent : 'None'
}

function info({ id, state, error }: Snapshot): string {
  return state === 'FAILURE' && error !== undefined ? toPublicError(error, id).message : 'None'
}

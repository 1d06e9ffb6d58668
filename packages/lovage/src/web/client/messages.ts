/**
 * Every sentence the elements show, by key. A translation is another object of this type: nothing is assembled in code,
 * numbers, times and durations come formatted, with their units and plurals, from Intl.
 */
export const english = {
  /** The catalogue's own: what Intl writes into it is of this language, in the page's variety of it (en-GB). */
  language: 'en',
  // states
  PENDING: 'Waiting',
  RECEIVED: 'Waiting',
  STARTED: 'Running',
  PROGRESS: 'Running',
  RETRY: 'Retrying',
  SUCCESS: 'Done',
  FAILURE: 'Failed',
  REVOKED: 'Cancelled',
  expiredState: 'Expired',
  custom: 'Running',
  connecting: 'Connecting…',
  goneState: 'Not available',
  // what goes with them
  task: 'Task',
  noWorker: 'Waiting for a worker. None is running right now.',
  next: 'Next in the queue.',
  position: 'Number {position} in the queue.',
  count: '{current} of {total}',
  countUnit: '{current} of {total} {unit}',
  soFar: '{current} {unit} so far',
  left: 'about {duration} left',
  usuallyLeft: 'usually about {duration} more',
  attempt: 'Attempt {attempt}',
  retryIn: 'Attempt {attempt} failed: {reason} Next try in {duration}.',
  retryNow: 'Attempt {attempt} failed: {reason} Trying again now.',
  notStarted: 'It was not started in time.',
  moreWork: 'More work was found.',
  nextPhase: 'The next part has begun.',
  restarted: 'The worker stopped unexpectedly. The task was started again.',
  failed: 'Something went wrong.',
  reference: 'Reference {reference}',
  // cancelling
  cancel: 'Cancel',
  cancelTask: 'Cancel {title}',
  cancelling: 'Cancelling…',
  finishedFirst: 'Finished before it could be cancelled.',
  notInterrupted: 'It cannot be interrupted right now. It stops as soon as it can.',
  cancelFailed: 'It could not be cancelled. Try again.',
  // the connection
  reconnecting: 'Reconnecting…',
  reconnectingSince: 'Reconnecting… last update {time}',
  unknown: 'This task does not exist or has expired.',
  expired: 'This view has expired. Reload the page to go on.',
  forbidden: 'This task cannot be shown here.',
  // lists
  tasks: 'Tasks',
  progress: 'Progress',
  noTasks: 'No tasks yet.',
  // for screen readers
  said: '{title}: {text}',
}

export type Messages = Readonly<Record<keyof typeof english, string>>

/** Puts the values into the places that the message names. */
export function fill(message: string, values: Readonly<Record<string, string>>): string {
  return message.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
}

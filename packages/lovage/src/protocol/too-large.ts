/** An end that is larger than what it goes through: whoever waits for it is told so, for what never comes is waited for for ever. */
import type { ErrorDocument, StateRecord } from '../core/record.ts'
import { isReadyState } from '../core/states.ts'

/**
 * The record without its value; a final one becomes a FAILURE that says why.
 * @param why goes on from `The task ended in SUCCESS, but`
 */
export function withoutValue<R extends Pick<StateRecord, 'state' | 'value'>>(record: R, why: string): R {
  if (!isReadyState(record.state)) return { ...record, value: undefined }
  const document: ErrorDocument = {
    type: 'MessageTooLargeError',
    message: `The task ended in ${record.state}, but ${why}. Return a reference to the data`,
    retryable: false,
  }
  return { ...record, state: 'FAILURE', value: JSON.stringify(document) }
}

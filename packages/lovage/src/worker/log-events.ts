/** The worker's log lines, worded as Celery's. */
import { isEnabled } from '../app/logger.ts'
import type { Logger } from '../app/types.ts'
import { formatDuration } from '../core/duration.ts'
import { redactJson } from '../core/redact.ts'
import { referenceOf } from '../core/reference.ts'
import type { ExecutorEvents } from './executor.ts'
import type { Outcome } from './outcome.ts'
import type { Run } from './run.ts'

const longestResult = 200
const longestSearched = 16_384

export function logEvents(logger: Logger): ExecutorEvents {
  const received = (run: Run): void => logger.debug(`Task ${label(run)} received`, fields(run))
  const showsEnds = isEnabled(logger, 'info')
  return {
    ...(isEnabled(logger, 'debug') ? { received } : {}),
    report: (run, report) => {
      if (report.kind === 'log') logger[report.level](report.message, { ...fields(run), ...report.fields })
    },
    settled: (run, outcome, lost) => {
      if (lost)
        logger.warn(
          `Task ${label(run)}: its delivery belongs to another worker now; what this one made of it was dropped`,
          fields(run),
        )
      else if (showsEnds || outcome.kind !== 'succeeded') logOutcome(logger, run, outcome)
    },
    unsettled: (run, error, fate) =>
      logger.error(`Task ${label(run)} cannot be settled: ${error.message}. ${fate}`, {
        ...fields(run),
        reference: referenceOf(run.request.id),
      }),
    trouble: (error, what) => logger.error(`Could not ${what}; trying again: ${error.message}`, { error: error.name }),
  }
}

function logOutcome(logger: Logger, run: Run, outcome: Outcome): void {
  switch (outcome.kind) {
    case 'succeeded':
      return logger.info(`Task ${label(run)} succeeded in ${took(run)}: ${brief(outcome.value ?? 'null')}`, fields(run))
    case 'retrying':
      return logger.warn(
        `Task ${label(run)} retry in ${formatDuration(Math.max(0, outcome.dueAt - Date.now()))}: ${outcome.error.type}: ${outcome.error.message}`,
        { ...fields(run), reference: referenceOf(run.request.id) },
      )
    case 'failed':
      return logger.error(
        `Task ${label(run)} raised ${outcome.error.type}: ${outcome.error.message}${note(outcome.error.note)}`,
        {
          ...fields(run),
          reference: referenceOf(run.request.id),
          traceback: outcome.error.traceback,
        },
      )
    case 'revoked':
      return logger.info(`Task ${label(run)} ${outcome.reason}`, fields(run))
    case 'parked':
      return logger.error(`Task ${label(run)} parked: ${outcome.reason.replace(/\.$/, '')}. See: lovage dead list`, {
        ...fields(run),
        reference: referenceOf(run.request.id),
      })
    case 'returned':
      return logger.info(
        `Task ${label(run)} given back${outcome.delayMs > 0 ? ` for ${formatDuration(outcome.delayMs)}` : ''}`,
        fields(run),
      )
    case 'superseded':
      return logger.debug(`Task ${label(run)} was already done`, fields(run))
    default:
      return outcome satisfies never
  }
}

/** Celery's form: `name[id]`. */
function label(run: Run): string {
  return `${run.request.task}[${run.request.id}]`
}

function fields(run: Run): { readonly task: string; readonly id: string; readonly queue: string } {
  return { task: run.request.task, id: run.request.id, queue: run.delivery.queue }
}

function took(run: Run): string {
  return `${((Date.now() - (run.startedAt ?? Date.now())) / 1000).toFixed(3)}s`
}

/** A result's beginning, secrets hidden; one that is too long to look through is told by its length. */
function brief(result: string): string {
  if (result.length > longestSearched) return `${result.length} characters`
  const text = redactJson(result)
  return text.length > longestResult ? `${text.slice(0, longestResult)}…` : text
}

function note(text: string | undefined): string {
  return text === undefined ? '' : ` (${text})`
}

/** Bugs in how messages are accepted and settled, and in what is kept of their tasks. */
import type { Break, Edit } from './break.ts'

/** Instead of one transaction; `settleAtOnce` is what it was before. */
function settleBy(steps: string): Edit {
  return {
    from: '  settle({',
    to: `  async settle(settlement) {
    const { record, successors = [] } = settlement
    const put = () => record === undefined ? undefined : this.#half.call({ kind: 'put', record })
    const pause = () => new Promise(resolve => setTimeout(resolve, 60))
    ${steps}
  }

  settleAtOnce({`,
  }
}

const tiny = { quick: 60, nap: 40 }

export const settleBreaks: Readonly<Record<string, Break>> = {
  'ack-before-store': {
    what: 'the message is gone before the result is stored: a kill in between loses the task',
    foundAs: ['lost'],
    edits: {
      'drivers/sqlite/broker.ts': [
        settleBy(`const outcome = await this.settleAtOnce({ ...settlement, record: undefined })
        await pause()
        await put()
        return outcome`),
      ],
    },
    focus: { mix: tiny, killsPerMinute: 60 },
  },
  'ack-on-receive': {
    what: 'what a worker has received counts as acknowledged: its death loses it',
    foundAs: ['lost'],
    edits: {
      'drivers/sqlite/message-table.ts': [
        {
          from: 'UPDATE messages SET owner = NULL, crashes = crashes + (started AND ?), started = 0\n       WHERE owner = ?',
          to: 'DELETE FROM messages WHERE ? IS NOT NULL AND owner = ?',
        },
      ],
    },
  },
  'lose-successor': {
    what: 'the next attempt is published after the last one is settled: a kill in between loses it',
    foundAs: ['lost'],
    edits: {
      'drivers/sqlite/broker.ts': [
        settleBy(`const outcome = await this.settleAtOnce({ ...settlement, successors: [] })
        await pause()
        await this.publish(successors)
        return outcome`),
      ],
    },
    focus: { mix: { flaky: 80, nap: 20 }, killsPerMinute: 60 },
  },
  'double-settle': {
    what: 'every settlement is sent twice, and the second one publishes the next attempt again',
    foundAs: ['ran twice without a cause'],
    edits: {
      'drivers/sqlite/broker.ts': [
        settleBy(`const outcome = await this.settleAtOnce(settlement)
        await this.settleAtOnce(settlement)
        return outcome`),
      ],
      'drivers/sqlite/handlers.ts': [
        {
          from: "      if (record !== undefined && isReadyState(record.state)) tasks.put(record)\n      return 'lost'",
          to: "      for (const successor of successors) publish(successor, messages, tasks)\n      return 'lost'",
        },
      ],
    },
    focus: { mix: { flaky: 60, nap: 40 } },
  },
  'publish-resolves-before-commit': {
    what: 'delay() resolves before anything is written: a full disk, or the death of the caller, loses the task',
    foundAs: ['lost'],
    edits: {
      'drivers/sqlite/broker.ts': [
        {
          from: "await this.#half.call({ kind: 'publish', rows })",
          to: "setTimeout(() => this.#half.call({ kind: 'publish', rows }).catch(() => undefined), 40)",
        },
      ],
    },
    focus: { mix: tiny, producerKillsPerMinute: 40, fillsPerMinute: 6 },
  },
  'skip-final-check-on-redelivery': {
    what: 'a result is stored, then acknowledged, and a redelivered task is not looked up: it runs again after its end',
    foundAs: ['ran after its end'],
    edits: {
      'drivers/sqlite/broker.ts': [
        settleBy(`await put()
        await pause()
        return await this.settleAtOnce({ ...settlement, record: undefined })`),
      ],
      'worker/decide.ts': [{ from: 'isReadyState(stored.state) || stored.retries', to: 'stored.retries' }],
    },
    // kills alone: who was frozen, or found the disk full, could not know of the end
    focus: { mix: tiny, killsPerMinute: 60, freezesPerMinute: 0, fillsPerMinute: 0 },
  },
  'unversioned-put': {
    what: 'the last writer wins: what a frozen worker says late, or a slow write, replaces what is newer',
    foundAs: ['regressed', 'disagreement'],
    edits: {
      'drivers/sqlite/task-table.ts': [
        { from: 'WHERE tasks.ready = 0 AND (excluded.ready = 1 OR', to: 'WHERE 1 OR (1 OR' },
      ],
    },
    focus: { mix: { steps: 40, long: 10, nap: 50 }, freezesPerMinute: 40, killsPerMinute: 20 },
  },
  'final-is-replaced': {
    what: 'a second end of a task replaces the first',
    foundAs: ['regressed', 'disagreement'],
    edits: {
      'drivers/sqlite/task-table.ts': [
        { from: 'THEN started_at END, ?) WHERE id = ? AND ready = 0`', to: 'THEN started_at END, ?) WHERE id = ?`' },
      ],
    },
    focus: { mix: { steps: 40, long: 10, nap: 50 }, freezesPerMinute: 40, killsPerMinute: 20 },
  },
}

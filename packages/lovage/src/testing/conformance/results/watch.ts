import { expect } from 'vitest'
import type { StoredState } from '../../../core/record.ts'
import { isNewer } from '../../../core/states.ts'
import type { ResultStore } from '../../../result-store.ts'
import { numbered, record } from '../fixtures.ts'
import type { Case } from '../suite.ts'
import { inTime } from '../waits.ts'

interface View {
  readonly seen: StoredState[]
  readonly end: () => void
  /** Resolves when such a state is, or was, seen. */
  until(isMeant: (state: StoredState) => boolean, what: string): Promise<void>
}

async function watch(results: ResultStore, ids: readonly string[]): Promise<View> {
  const seen: StoredState[] = []
  const waiting = new Set<() => void>()
  const end = await results.watch(ids, {
    onState(state) {
      seen.push(state)
      for (const look of waiting) look()
    },
  })
  const until = async (isMeant: (state: StoredState) => boolean, what: string): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => (seen.some(isMeant) ? resolve() : undefined)
    waiting.add(look)
    look()
    await inTime(promise, what)
    waiting.delete(look)
  }
  return { seen, end, until }
}

/** Neighbours of one id that are not in order. */
function backwards(seen: readonly StoredState[]): readonly string[] {
  const last = new Map<string, StoredState>()
  return seen.flatMap(state => {
    const before = last.get(state.id)
    last.set(state.id, state)
    return isNewer(state, before)
      ? []
      : [`${state.id}: ${state.state} ${state.seq} after ${before?.state} ${before?.seq}`]
  })
}

export const watchCases: readonly Case[] = [
  {
    name: 'shows the present state first, then what follows',
    async run(lab) {
      const { results } = await lab.connect()
      await results.put(record('task', 'STARTED', { delivery: 1 }))
      const view = await watch(results, ['task'])
      await view.until(({ state }) => state === 'STARTED', 'the present state')
      await results.put(record('task', 'SUCCESS', { delivery: 1, value: '1' }))
      await view.until(({ state }) => state === 'SUCCESS', 'the final state')
      expect(view.seen.map(({ state }) => state)).toEqual(['STARTED', 'SUCCESS'])
      expect(view.seen.at(-1)).toEqual(
        (await results.getMany(['task'])).map(each => each.kind === 'state' && each.state)[0],
      )
      view.end()
    },
  },
  {
    name: 'follows what another connection writes, and ids nobody knows yet',
    async run(lab) {
      const [reader, writer] = [await lab.connect(), await lab.connect()]
      const view = await watch(reader.results, ['unborn', 'other'])
      expect(view.seen).toEqual([])
      await writer.results.put(record('unborn', 'PENDING'))
      await view.until(({ id }) => id === 'unborn', 'the first state')
      await writer.results.put(record('stranger', 'SUCCESS'))
      await writer.results.put(record('other', 'SUCCESS'))
      await view.until(({ id }) => id === 'other', 'the other task')
      expect(new Set(view.seen.map(({ id }) => id))).toEqual(new Set(['unborn', 'other']))
      view.end()
    },
  },
  {
    name: 'may skip states, but never repeats one or goes back, and ends at the last',
    needs: ['conditional'],
    async run(lab) {
      const [reader, writer] = [await lab.connect(), await lab.connect()]
      const ids = numbered('task', 5)
      const early = await watch(reader.results, ids)
      const writes = Array.from({ length: 100 }, (_, seq) =>
        ids.map(id => record(id, 'PROGRESS', { delivery: 1, seq })),
      )
      const writing = Promise.all(writes.flat().map(each => writer.results.put(each)))
      const late = await watch(reader.results, ids)
      await writing
      await Promise.all(ids.map(id => writer.results.put(record(id, 'SUCCESS', { delivery: 1 }))))
      for (const view of [early, late]) {
        for (const id of ids) await view.until(each => each.id === id && each.state === 'SUCCESS', `SUCCESS of ${id}`)
        expect(backwards(view.seen)).toEqual([])
        view.end()
      }
    },
  },
  {
    name: 'shows nothing more after its end, while others go on',
    async run(lab) {
      const { results } = await lab.connect()
      const [ended, other] = [await watch(results, ['task']), await watch(results, ['task'])]
      await results.put(record('task', 'PENDING'))
      await ended.until(() => true, 'the first state')
      ended.end()
      ended.end()
      await results.put(record('task', 'SUCCESS'))
      await other.until(({ state }) => state === 'SUCCESS', 'the final state')
      expect(ended.seen.map(({ state }) => state)).toEqual(['PENDING'])
      other.end()
    },
  },
  {
    name: 'follows 500 ids of one watch, and one id of 50 watches',
    async run(lab) {
      const [reader, writer] = [await lab.connect(), await lab.connect()]
      const ids = numbered('task', 500)
      const wide = await watch(reader.results, ids)
      const many = await Promise.all(numbered('view', 50).map(() => watch(reader.results, ['task-7'])))
      await Promise.all(ids.map(id => writer.results.put(record(id, 'SUCCESS'))))
      await Promise.all(ids.map(id => wide.until(each => each.id === id, `the state of ${id}`)))
      await Promise.all(many.map(view => view.until(() => true, 'the state of task-7')))
      for (const view of [wide, ...many]) view.end()
    },
  },
]

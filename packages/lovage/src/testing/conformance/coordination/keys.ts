import { expect } from 'vitest'
import type { Coordination, KeyChange } from '../../../coordination.ts'
import { numbered } from '../fixtures.ts'
import type { Case } from '../suite.ts'
import { eventually, inTime } from '../waits.ts'

const longMs = 60_000

export const keyCases: readonly Case[] = [
  {
    name: 'sets a key that is free, and gives back the value that stands in the way',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      expect(await a.putIfAbsent('key', 'first', longMs)).toBeUndefined()
      expect(await b.putIfAbsent('key', 'second', longMs)).toBe('first')
      expect(await b.get('key')).toBe('first')
      await b.put('key', 'third', longMs)
      expect(await a.get('key')).toBe('third')
      await a.delete('key')
      await a.delete('key')
      expect(await b.get('key')).toBeUndefined()
      expect(await b.putIfAbsent('key', 'fourth', longMs)).toBeUndefined()
    },
  },
  {
    name: 'lets exactly one of 50 concurrent callers set a key, and tells the others its value',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      const values = numbered('caller', 50)
      const answers = await Promise.all(
        values.map((value, index) => (index % 2 === 0 ? a : b).putIfAbsent('key', value, longMs)),
      )
      const winners = values.filter((_, index) => answers[index] === undefined)
      expect(winners.length).toBe(1)
      expect(new Set(answers.filter(answer => answer !== undefined))).toEqual(new Set(winners))
    },
  },
  {
    name: 'forgets a key when its time is over, and a new put prolongs it',
    async run(lab) {
      const { coordination } = await lab.connect()
      await coordination.put('short', 'x', 100)
      await coordination.put('prolonged', 'x', 100)
      await coordination.put('prolonged', 'y', longMs)
      await eventually(async () => (await coordination.get('short')) === undefined, 'the end of a key')
      expect(await coordination.list('')).toEqual([{ key: 'prolonged', value: 'y' }])
      expect(await coordination.putIfAbsent('short', 'again', longMs)).toBeUndefined()
    },
  },
  {
    name: 'lists living keys under a prefix, sorted',
    async run(lab) {
      const { coordination } = await lab.connect()
      for (const key of ['pause:b', 'pause:a', 'pausx', 'pause_:z', 'other', 'pause%'])
        await coordination.put(key, `of ${key}`, longMs)
      expect(await coordination.list('pause:')).toEqual([
        { key: 'pause:a', value: 'of pause:a' },
        { key: 'pause:b', value: 'of pause:b' },
      ])
      expect((await coordination.list('pause%')).map(({ key }) => key)).toEqual(['pause%'])
      expect((await coordination.list('pause_')).map(({ key }) => key)).toEqual(['pause_:z'])
      expect(await coordination.list('nothing')).toEqual([])
    },
  },
]

interface KeyView {
  readonly seen: KeyChange[]
  readonly end: () => void
  until(change: KeyChange): Promise<void>
}

async function watchKeys(coordination: Coordination, prefix: string): Promise<KeyView> {
  const seen: KeyChange[] = []
  const waiting = new Set<() => void>()
  const end = await coordination.watchKeys(prefix, change => {
    seen.push(change)
    for (const look of waiting) look()
  })
  const until = async ({ key, value }: KeyChange): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => (seen.some(each => each.key === key && each.value === value) ? resolve() : undefined)
    waiting.add(look)
    look()
    await inTime(promise, `${key} to be ${value}`)
  }
  return { seen, end, until }
}

export const watchKeyCases: readonly Case[] = [
  {
    name: 'shows living keys first, then changes of any connection, removals and ends',
    async run(lab) {
      const [a, b] = [(await lab.connect()).coordination, (await lab.connect()).coordination]
      await a.put('revoked:old', 'x', longMs)
      await a.put('other', 'x', longMs)
      const view = await watchKeys(b, 'revoked:')
      await view.until({ key: 'revoked:old', value: 'x' })
      await a.put('revoked:new', 'y', longMs)
      await view.until({ key: 'revoked:new', value: 'y' })
      await a.put('revoked:new', 'z', longMs)
      await view.until({ key: 'revoked:new', value: 'z' })
      await a.delete('revoked:old')
      await view.until({ key: 'revoked:old', value: undefined })
      await a.putIfAbsent('revoked:short', 's', 100)
      await view.until({ key: 'revoked:short', value: 's' })
      await view.until({ key: 'revoked:short', value: undefined })
      expect(view.seen.filter(({ key }) => !key.startsWith('revoked:'))).toEqual([])
      view.end()
    },
  },
  {
    name: 'shows nothing more after its end',
    async run(lab) {
      const { coordination } = await lab.connect()
      const [ended, other] = [await watchKeys(coordination, 'a'), await watchKeys(coordination, 'a')]
      ended.end()
      ended.end()
      await coordination.put('a1', 'x', longMs)
      await other.until({ key: 'a1', value: 'x' })
      expect(ended.seen).toEqual([])
      other.end()
    },
  },
]

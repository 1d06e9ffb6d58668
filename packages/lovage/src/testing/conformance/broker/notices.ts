import { expect } from 'vitest'
import type { Broker, Notice } from '../../../broker.ts'
import type { WireMessage } from '../../../core/wire.ts'
import { bodyText } from '../../../core/wire.ts'
import { numbered } from '../fixtures.ts'
import type { Case } from '../suite.ts'
import { inTime } from '../waits.ts'

function notice(text: string): WireMessage {
  return { properties: { contentType: 'application/json', contentEncoding: 'utf-8' }, headers: { text }, body: text }
}

interface Ear {
  readonly heard: Notice[]
  readonly end: () => Promise<void>
  /** Everything up to the text `end`, that one left out. */
  readonly texts: () => Promise<readonly string[]>
}

async function listen(broker: Broker, pattern: string): Promise<Ear> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const heard: Notice[] = []
  const end = await broker.listen(pattern, each => {
    heard.push(each)
    if (bodyText(each.message.body) === 'end') resolve()
  })
  const texts = async (): Promise<readonly string[]> => {
    await inTime(promise, 'the notice `end`')
    return heard.map(({ message }) => bodyText(message.body)).filter(text => text !== 'end')
  }
  return { heard, end, texts }
}

export const noticeCases: readonly Case[] = [
  {
    name: 'brings a notice to all who listen to its address, with headers and body',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      const ears = [await listen(a.broker, 'control.all'), await listen(b.broker, 'control.all')]
      await a.broker.send('control.all', notice('ping'))
      await a.broker.send('control.all', notice('end'))
      for (const ear of ears) {
        expect(await ear.texts()).toEqual(['ping'])
        expect(ear.heard[0]).toMatchObject({ address: 'control.all', message: { headers: { text: 'ping' } } })
      }
    },
  },
  {
    name: 'matches an address, or a prefix that ends in a star',
    async run(lab) {
      const { broker } = await lab.connect()
      const [exact, prefix, all] = [
        await listen(broker, 'events.a'),
        await listen(broker, 'events.*'),
        await listen(broker, '*'),
      ]
      for (const address of ['events.a', 'events.a.b', 'eventsx', 'other']) await broker.send(address, notice(address))
      for (const address of ['events.a', 'other']) await broker.send(address, notice('end'))
      expect(await exact.texts()).toEqual(['events.a'])
      expect(await prefix.texts()).toEqual(['events.a', 'events.a.b'])
      expect(await all.texts()).toEqual(['events.a', 'events.a.b', 'eventsx', 'other'])
    },
  },
  {
    name: 'keeps the order of one sender',
    async run(lab) {
      const [sender, other] = [await lab.connect(), await lab.connect()]
      const ear = await listen(other.broker, 'events.*')
      const texts = numbered('event', 200)
      await Promise.all([...texts, 'end'].map(text => sender.broker.send('events.worker', notice(text))))
      expect(await ear.texts()).toEqual(texts)
    },
  },
  {
    name: 'tells nothing that was sent before the listening began or after it ended',
    async run(lab) {
      const [a, b] = [await lab.connect(), await lab.connect()]
      await a.broker.send('events.x', notice('too early'))
      const early = await listen(b.broker, 'events.*')
      await a.broker.send('events.x', notice('in time'))
      await a.broker.send('events.x', notice('end'))
      expect(await early.texts()).toEqual(['in time'])
      await early.end()
      await early.end()
      const witness = await listen(b.broker, 'events.*')
      await a.broker.send('events.x', notice('too late'))
      await a.broker.send('events.x', notice('end'))
      expect(await witness.texts()).toEqual(['too late'])
      expect(early.heard.length).toBe(2)
    },
  },
  {
    name: 'sends to nobody without an error',
    async run(lab) {
      const { broker } = await lab.connect()
      await expect(broker.send('nobody', notice('hello'))).resolves.toBeUndefined()
    },
  },
]

import fc from 'fast-check'
import { expect } from 'vitest'
import type { Delivery, Disposition } from '../../src/broker.ts'
import * as queue from '../../src/drivers/memory/queue-state.ts'
import { createResultState, forget, keep, listStates, prune } from '../../src/drivers/memory/result-state.ts'
import type { StateRecord } from '../../src/core/record.ts'
import { isReadyState, stateRank } from '../../src/core/states.ts'
import { fuzz, property } from './support/fuzz.ts'

const leaseMs = 1000
const names = ['a', 'b'] as const
const owners = ['one', 'two', 'three'] as const

interface Modelled {
  readonly id: string
  readonly queue: string
  readonly priority: number
  readonly age: number
  notBefore: number
  handOvers: number
  crashes: number
  started: boolean
  owner: string | undefined
  place: 'here' | 'held' | 'parked' | 'gone'
}

/** The same, as plainly as can be: one list, searched from end to end. */
class Model {
  messages: Modelled[] = []
  readonly leases = new Map<string, number>()

  waiting(at: number, name: string): Modelled[] {
    return this.messages
      .filter(each => each.queue === name && each.place === 'here' && each.notBefore <= at)
      .sort((a, b) => b.priority - a.priority || a.age - b.age)
  }

  claim(at: number, owner: string, limit: number): Modelled[] {
    if (!this.leases.has(owner)) return []
    const best = names
      .flatMap(name => this.waiting(at, name))
      .sort((a, b) => b.priority - a.priority || a.age - b.age)
      .slice(0, limit)
    for (const each of best)
      Object.assign(each, { place: 'held', owner, handOvers: each.handOvers + 1, started: each.crashes === 0 })
    return best
  }

  giveBack(owner: string, isCrash: boolean): void {
    this.leases.delete(owner)
    for (const each of this.messages.filter(({ place, owner: holder }) => place === 'held' && holder === owner)) {
      if (isCrash && each.started) each.crashes++
      Object.assign(each, { place: 'here', owner: undefined })
    }
  }

  settle(each: Modelled, disposition: Disposition, at: number): void {
    each.owner = undefined
    if (disposition.kind !== 'requeue') each.place = disposition.kind === 'ack' ? 'gone' : 'parked'
    else {
      if (disposition.crashed === true) each.crashes++
      each.notBefore = disposition.delayMs === undefined ? 0 : at + disposition.delayMs
      each.place = 'here'
    }
  }
}

type Command =
  | readonly ['publish', name: 'a' | 'b', priority: number, delayMs: number]
  | readonly ['renew' | 'release', owner: (typeof owners)[number]]
  | readonly ['claim', owner: (typeof owners)[number], limit: number]
  | readonly ['start', which: number]
  | readonly ['settle', which: number, disposition: Disposition]
  | readonly ['pass', ms: number]
  | readonly ['purge', name: 'a' | 'b']

const owner = fc.constantFrom(...owners)
const name = fc.constantFrom(...names)
const disposition: fc.Arbitrary<Disposition> = fc.oneof(
  fc.constant<Disposition>({ kind: 'ack' }),
  fc.constant<Disposition>({ kind: 'requeue' }),
  fc.record({ kind: fc.constant('requeue' as const), delayMs: fc.nat(500), crashed: fc.boolean() }),
  fc.constant<Disposition>({ kind: 'park', reason: 'the dice' }),
)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constant('publish' as const), name, fc.nat(2), fc.constantFrom(0, 0, 200)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('renew' as const), owner) },
  fc.tuple(fc.constant('release' as const), owner),
  { weight: 3, arbitrary: fc.tuple(fc.constant('claim' as const), owner, fc.nat(3)) },
  fc.tuple(fc.constant('start' as const), fc.nat(30)),
  { weight: 3, arbitrary: fc.tuple(fc.constant('settle' as const), fc.nat(30), disposition) },
  fc.tuple(fc.constant('pass' as const), fc.nat(1500)),
  fc.tuple(fc.constant('purge' as const), name),
)

class Play {
  readonly #state = queue.createQueueState()
  readonly #model = new Model()
  /** Every delivery there was, the old ones too, with the hand-over it was. */
  readonly #deliveries: { readonly delivery: Delivery; readonly message: Modelled; readonly handOver: number }[] = []
  #now = 1000

  step(next: Command): void {
    switch (next[0]) {
      case 'publish':
        return this.#publish(next[1], next[2], next[3])
      case 'renew':
        queue.renew(this.#state, next[1], { ms: leaseMs, at: this.#at() })
        this.#model.leases.set(next[1], this.#now + leaseMs)
        return
      case 'release':
        queue.release(this.#state, next[1], this.#at())
        return this.#model.giveBack(next[1], false)
      case 'claim':
        return this.#claim(next[1], next[2])
      case 'start':
        return this.#start(next[1])
      case 'settle':
        return this.#settle(next[1], next[2])
      case 'pass':
        return this.#pass(next[1])
      case 'purge':
        return this.#purge(next[1])
      default:
        return next satisfies never
    }
  }

  agree(): void {
    for (const each of names) {
      const all = this.#model.messages.filter(message => message.queue === each)
      const here = all.filter(({ place }) => place === 'here')
      const ready = here.filter(({ notBefore }) => notBefore <= this.#now).length
      const unsettled = all.filter(({ place }) => place === 'held').length
      expect(queue.queueStats(this.#state, each)).toEqual({
        queue: each,
        ready,
        delayed: here.length - ready,
        unsettled,
      })
    }
    const parked = queue.listParked(this.#state, { limit: 1000 }).items.map(({ id }) => id)
    expect(new Set(parked)).toEqual(
      new Set(this.#model.messages.filter(({ place }) => place === 'parked').map(({ id }) => id)),
    )
    const until = queue.untilTick(this.#state, this.#at())
    if (until !== undefined) expect(until).toBeGreaterThanOrEqual(0)
  }

  #at(): queue.Instant {
    return { now: this.#now, monotonic: this.#now }
  }

  #publish(name: string, priority: number, delayMs: number): void {
    const age = this.#model.messages.length
    const notBefore = delayMs === 0 ? 0 : this.#now + delayMs
    const message = { properties: { contentType: '', contentEncoding: '' }, headers: {}, body: '' }
    queue.enqueue(this.#state, { id: `m${age}`, queue: name, message, priority, notBefore }, this.#at())
    const fresh = { handOvers: 0, crashes: 0, started: false, owner: undefined, place: 'here' } as const
    this.#model.messages.push({ id: `m${age}`, queue: name, priority, age, notBefore, ...fresh })
  }

  #claim(by: string, limit: number): void {
    const deliveries = queue.claim(this.#state, { owner: by, queues: names, limit })
    const expected = this.#model.claim(this.#now, by, limit)
    expect(
      deliveries.map(({ queue: from, deliveryCount, crashCount, redelivered }) => [
        from,
        deliveryCount,
        crashCount,
        redelivered,
      ]),
    ).toEqual(expected.map(({ queue: from, handOvers, crashes }) => [from, handOvers, crashes, handOvers > 1]))
    for (const [index, delivery] of deliveries.entries()) {
      const message = expected[index] as Modelled
      this.#deliveries.push({ delivery, message, handOver: message.handOvers })
    }
  }

  #isHeld({ message, handOver }: { readonly message: Modelled; readonly handOver: number }): boolean {
    return message.place === 'held' && message.handOvers === handOver
  }

  #start(which: number): void {
    const chosen = this.#deliveries[which % Math.max(1, this.#deliveries.length)]
    if (chosen === undefined) return
    const lost = queue.markStarted(this.#state, [chosen.delivery])
    expect(lost.length === 0).toBe(this.#isHeld(chosen))
    if (lost.length === 0) chosen.message.started = true
  }

  #settle(which: number, how: Disposition): void {
    const chosen = this.#deliveries[which % Math.max(1, this.#deliveries.length)]
    if (chosen === undefined) return
    const { outcome } = queue.settle(this.#state, { delivery: chosen.delivery, disposition: how }, this.#at())
    expect(outcome).toBe(this.#isHeld(chosen) ? 'settled' : 'lost')
    if (outcome === 'settled') this.#model.settle(chosen.message, how, this.#now)
  }

  #pass(ms: number): void {
    this.#now += ms
    queue.tick(this.#state, this.#at())
    for (const [dead, until] of this.#model.leases) if (until <= this.#now) this.#model.giveBack(dead, true)
  }

  #purge(name: string): void {
    const removed = queue.purge(this.#state, name)
    const expected = this.#model.messages.filter(each => each.queue === name && each.place === 'here')
    expect(new Set(removed)).toEqual(new Set(expected.map(({ id }) => id)))
    for (const each of expected) each.place = 'gone'
  }
}

fuzz('queue', {
  'does as a list that is searched from end to end': property({
    of: fc.array(command, { maxLength: 60 }),
    holds(commands) {
      const play = new Play()
      for (const next of commands) {
        play.step(next)
        play.agree()
      }
    },
    runs: 500,
  }),
})

const record: fc.Arbitrary<StateRecord> = fc.record({
  id: fc.constantFrom('x', 'y', 'z'),
  state: fc.constantFrom('PENDING', 'STARTED', 'PROGRESS', 'UPLOADING', 'RETRY', 'SUCCESS', 'FAILURE'),
  retries: fc.nat(2),
  delivery: fc.nat(2),
  seq: fc.nat(5),
  at: fc.nat(1000),
  value: fc.constantFrom('1', '2', '3'),
})
type ResultCommand =
  readonly ['keep', StateRecord] | readonly ['forget', readonly string[]] | readonly ['prune', now: number]

const resultCommand: fc.Arbitrary<ResultCommand> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constant('keep' as const), record) },
  fc.tuple(fc.constant('forget' as const), fc.subarray(['x', 'y', 'z'])),
  fc.tuple(fc.constant('prune' as const), fc.nat(1500)),
)

/** `final > (retries, delivery, rank, seq)`, written once more. */
function beats(next: StateRecord, current: StateRecord | undefined): boolean {
  if (current === undefined) return true
  if (isReadyState(current.state) || isReadyState(next.state)) return !isReadyState(current.state)
  const key = ({ retries, delivery, state, seq }: StateRecord): number =>
    ((retries * 10 + delivery) * 10 + stateRank(state)) * 10 + seq
  return key(next) > key(current)
}

fuzz('results', {
  'are the newest record of each task, until it is forgotten or its time is over': property({
    of: fc.array(resultCommand, { maxLength: 40 }),
    holds(commands) {
      const results = createResultState()
      const model = new Map<string, StateRecord>()
      for (const [kind, given] of commands) {
        if (kind === 'keep') {
          const isKept = beats(given, model.get(given.id))
          expect(keep(results, given, 500) !== undefined).toBe(isKept)
          if (isKept) model.set(given.id, given)
        } else {
          const doomed = [...model.values()].filter(({ id, state, at }) =>
            kind === 'forget' ? given.includes(id) && isReadyState(state) : isReadyState(state) && at + 500 <= given,
          )
          expect(kind === 'forget' ? forget(results, given) : prune(results, given)).toBe(doomed.length)
          for (const { id } of doomed) model.delete(id)
        }
        const shown = listStates(results, {}).items.map(({ id, state, seq, value }) => [id, [state, seq, value]])
        expect(new Map(shown as [string, unknown][])).toEqual(
          new Map([...model].map(([id, { state, seq, value }]) => [id, [state, seq, value]])),
        )
      }
    },
    runs: 500,
  }),
})

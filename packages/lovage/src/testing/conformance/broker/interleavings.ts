/** Random interleavings by seed: two consumers that come and go, and every way to settle, against a model. */
import { expect } from 'vitest'
import type { Connection } from '../../../backend.ts'
import type { Disposition } from '../../../broker.ts'
import { endOfTurn } from '../../../core/clock.ts'
import type { Inbox } from '../inbox.ts'
import type { Lab } from '../lab.ts'
import { publication } from '../fixtures.ts'
import { seededRandom } from '../seeded-random.ts'
import type { Case } from '../suite.ts'
import { Model } from './model.ts'
import { eventually } from '../waits.ts'

const seeds = [1, 2, 3, 5, 8, 13, 21, 34]
const stepCount = 80

interface Party {
  readonly connection: Connection
  readonly inbox: Inbox
}

class Play {
  readonly #lab: Lab
  readonly #model: Model
  readonly #random: () => number
  readonly #parties: Party[] = []
  readonly #settling: Promise<void>[] = []
  #publishedCount = 0

  constructor(lab: Lab, seed: number) {
    this.#lab = lab
    this.#model = new Model(seed, lab.driver.broker.handOvers === 'counted')
    this.#random = seededRandom(seed)
  }

  async run(): Promise<readonly string[]> {
    await this.#join()
    await this.#join()
    for (let step = 0; step < stepCount; step++) {
      await this.#step()
      await this.#letHappen()
    }
    await this.#drain()
    return this.#model.faults
  }

  async #step(): Promise<void> {
    const dice = this.#random()
    if (dice < 0.3) await this.#publish()
    else if (dice < 0.9) this.#settleSome()
    else if (dice < 0.94) this.#party()?.inbox.setPrefetch(1 + Math.floor(this.#random() * 5))
    else await this.#replace()
  }

  async #publish(): Promise<void> {
    const count = 1 + Math.floor(this.#random() * 4)
    const batch = Array.from({ length: count }, () =>
      publication(`m${this.#publishedCount++}`, { priority: Math.floor(this.#random() * 3) }),
    )
    for (const { id } of batch) this.#model.published(id)
    await this.#party()?.connection.broker.publish(batch)
  }

  #settleSome(): void {
    const inbox = this.#party()?.inbox
    for (const delivery of Array.from(inbox?.held ?? [])) {
      if (this.#random() < 0.5) continue
      const disposition = this.#disposition()
      const settled = inbox
        ?.settle(delivery, disposition)
        .then(outcome => this.#model.settled(delivery, disposition, outcome))
      if (settled !== undefined) this.#settling.push(settled)
    }
  }

  #disposition(): Disposition {
    const dice = this.#random()
    if (dice < 0.5) return { kind: 'ack' }
    if (dice < 0.7) return { kind: 'requeue' }
    if (dice < 0.9 && this.#lab.driver.broker.delay === true)
      return { kind: 'requeue', delayMs: Math.floor(this.#random() * 20) }
    return { kind: 'park', reason: 'the dice' }
  }

  /** One leaves with all it holds, another comes. */
  async #replace(): Promise<void> {
    const leaving = this.#party()
    if (leaving === undefined) return
    this.#parties.splice(this.#parties.indexOf(leaving), 1)
    await Promise.all(this.#settling)
    await leaving.connection.close()
    leaving.inbox.expectSilence()
    await this.#join()
  }

  async #join(): Promise<void> {
    const connection = await this.#lab.connect()
    const prefetch = 1 + Math.floor(this.#random() * 5)
    const inbox = await this.#lab.consume(connection, { prefetch, onDeliveries: batch => this.#model.delivered(batch) })
    this.#parties.push({ connection, inbox })
  }

  async #drain(): Promise<void> {
    await eventually(async () => {
      for (const { inbox } of this.#parties) {
        const held = Array.from(inbox.held)
        for (const delivery of held) {
          this.#model.settled(delivery, { kind: 'ack' }, await inbox.settle(delivery))
        }
      }
      return this.#model.outstanding().length === 0 || this.#model.faults.length > 0
    }, 'every message settled').catch(() => undefined)
    await Promise.all(this.#settling)
    const parked = await this.#parties[0]?.connection.broker.parked({ limit: 10_000 })
    this.#model.finished(parked?.items ?? [])
  }

  #party(): Party | undefined {
    return this.#parties[Math.floor(this.#random() * this.#parties.length)]
  }

  /** The broker gets a turn or two, or none. */
  async #letHappen(): Promise<void> {
    const turns = Math.floor(this.#random() * 4)
    for (let turn = 0; turn < turns; turn++) await new Promise<void>(resolve => endOfTurn(resolve))
  }
}

export const interleavingCases: readonly Case[] = seeds.map(seed => ({
  name: `loses nothing, repeats nothing and keeps its prefetch in a random interleaving (seed ${seed})`,
  async run(lab) {
    expect(await new Play(lab, seed).run()).toEqual([])
  },
}))

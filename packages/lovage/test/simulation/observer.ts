/**
 * Somebody who watches, as a web process does. One that reads asks again and again and must never be told something
 * older; one that follows is pushed every change, in whatever order it travels, and shows what is newer than what it has.
 */
import { isNewer } from '../../src/core/states.ts'
import type { StoredState } from '../../src/core/record.ts'
import { connect, type Wiring } from './connect.ts'
import type { Ledger } from './ledger.ts'
import type { Process } from './process.ts'

export interface ObserverSetup extends Wiring {
  readonly ledger: Ledger
}

/** Reads the tasks in turn. */
export function startReader(setup: ObserverSetup, process: Process): void {
  const { results } = connect(setup, process)
  const ids = setup.plan.tasks.map(({ id }) => id)
  const readNext = async (turn: number): Promise<void> => {
    const id = ids[turn % ids.length]
    const lookup = id === undefined ? undefined : await results.get(id).catch(() => undefined)
    if (lookup?.kind === 'state') setup.ledger.seen(process.name, lookup.state, true)
    process.later(process.random.between(30, 120), () => void readNext(turn + 1))
  }
  void readNext(0)
}

/** Follows all tasks; begins anew when it cannot. */
export function startFollower(setup: ObserverSetup, process: Process): void {
  const { ledger, network, cluster } = setup
  const show = (state: StoredState): void => {
    if (isNewer(state, ledger.lastSeen(process.name, state.id))) ledger.seen(process.name, state, false)
  }
  const effect = (): readonly StoredState[] => cluster.watchStates(process, show)
  network.call({ process, service: 'store', tasks: [], isSession: true, effect }).then(
    states => states.forEach(show),
    () => process.later(100, () => startFollower(setup, process)),
  )
}

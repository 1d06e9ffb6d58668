/** The seams as a process of the simulated world has them: each call is a request to the servers. */
import { joinBackend, type Backend, type Connection } from '../../src/backend.ts'
import type { Broker, Publication, PublishOutcome, Settlement } from '../../src/broker.ts'
import type { Coordination, KeyChange } from '../../src/coordination.ts'
import type { ResultStore } from '../../src/result-store.ts'
import type { Breakage } from './breakages.ts'
import type { Cluster } from './cluster.ts'
import type { Keys } from './keys.ts'
import { idOf } from './invariants.ts'
import { NetworkError, type Network, type Service } from './network.ts'
import type { HistoryPlan } from './plan.ts'
import type { Process } from './process.ts'

export interface Wiring {
  readonly network: Network
  readonly cluster: Cluster
  readonly plan: HistoryPlan
  readonly breakage: Breakage | undefined
}

export function connect(wiring: Wiring, process: Process): Backend {
  const { plan, breakage } = wiring
  const transport: Connection = {
    broker: brokerOf(wiring, process),
    results: resultsOf(wiring, process),
    coordination: coordinationOf(wiring, process),
    description: 'simulated',
    close: async () => {},
  }
  const backend = joinBackend(transport, plan.isAtomic ? transport : { ...transport })
  if (breakage === 'ack-before-store') return ackBeforeStore(backend)
  if (breakage === 'requeue-without-crash') return requeueWithoutCrash(backend)
  if (breakage === 'lose-successor')
    return { ...backend, settle: settlement => backend.settle({ ...settlement, successors: undefined }) }
  return backend
}

type Ask = <T>(service: Service, tasks: readonly string[], effect: () => T) => Promise<T>

function asker({ network }: Wiring, process: Process): Ask {
  return (service, tasks, effect) => network.call({ process, service, tasks, effect })
}

function brokerOf(wiring: Wiring, process: Process): Broker {
  const { cluster, plan } = wiring
  const ask = asker(wiring, process)
  return {
    capabilities: {
      delay: plan.brokerDelays,
      priorities: 9,
      transactions: false,
      redelivery: 'lease',
      handOvers: 'counted',
      keepsPlace: true,
      counts: true,
      atomicSettle: plan.isAtomic,
    },
    open: async () => {},
    publish: batch => Promise.all(batch.map(each => publish(wiring, ask, each))),
    markStarted: deliveries =>
      ask(
        'broker',
        deliveries.map(({ message }) => idOf(message)),
        () => cluster.markStarted(deliveries),
      ),
    settle: settlement => ask('broker', [idOf(settlement.delivery.message)], () => cluster.settle(settlement)),
  } satisfies Partial<Broker> as unknown as Broker
}

/** Never rejects for a message: says whether it is in. */
async function publish({ cluster, breakage }: Wiring, ask: Ask, publication: Publication): Promise<PublishOutcome> {
  const asked = ask('broker', [publication.id], () => cluster.publish(publication))
  try {
    if (breakage === 'publish-resolves-before-commit') void asked.catch(() => undefined)
    else await asked
    return { accepted: 'yes' }
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return { accepted: error.isRefusal ? 'no' : 'unknown', error }
  }
}

function resultsOf(wiring: Wiring, process: Process): ResultStore {
  const { cluster, breakage } = wiring
  const ask = asker(wiring, process)
  return {
    open: async () => {},
    put: record => ask('store', [record.id], () => cluster.keep(record)),
    get: id =>
      ask('store', [id], () => {
        const state = breakage === 'skip-final-check-on-redelivery' ? undefined : cluster.read(id)
        return state === undefined ? { kind: 'absent' } : { kind: 'state', state }
      }),
  } satisfies Partial<ResultStore> as unknown as ResultStore
}

function coordinationOf(wiring: Wiring, process: Process): Coordination {
  const { cluster, network } = wiring
  const ask = asker(wiring, process)
  const about = (key: string): readonly string[] => tasksOf(wiring.plan, key)
  return {
    open: async () => {},
    putIfAbsent: (key, value, ttlMs) =>
      ask('coordination', about(key), () => cluster.keys.putIfAbsent(key, value, ttlMs)),
    put: (key, value, ttlMs) => ask('coordination', about(key), () => cluster.keys.put(key, value, ttlMs)),
    get: key => ask('coordination', about(key), () => cluster.keys.get(key)),
    delete: key => ask('coordination', about(key), () => cluster.keys.delete(key)),
    async watchKeys(prefix: string, onChange: (change: KeyChange) => void) {
      const effect = (): ReturnType<Keys['watch']> => cluster.keys.watch({ process, prefix, onChange })
      const asked = { process, service: 'coordination', tasks: [], isSession: true, effect } as const
      const { living, end } = await network.call(asked)
      living.forEach(onChange)
      return end
    },
  } satisfies Partial<Coordination> as unknown as Coordination
}

/** A revoke's key ends in the task's id, and so does an idempotency key here. */
function tasksOf(plan: HistoryPlan, key: string): readonly string[] {
  const id = key.slice(key.lastIndexOf('/') + 1)
  return plan.tasks.some(task => task.id === id) ? [id] : []
}

function ackBeforeStore(backend: Backend): Backend {
  return {
    ...backend,
    async settle({ record, ...rest }: Settlement) {
      const outcome = await backend.broker.settle(rest)
      if (record !== undefined) await backend.results.put(record)
      return outcome
    },
  }
}

function requeueWithoutCrash(backend: Backend): Backend {
  return {
    ...backend,
    settle: settlement => {
      const { disposition } = settlement
      const isCrash = disposition.kind === 'requeue' && disposition.crashed === true
      return backend.settle(isCrash ? { ...settlement, disposition: { kind: 'requeue' } } : settlement)
    },
  }
}

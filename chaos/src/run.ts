/** One run: start, make faults, let it drain, read what was written down, check. */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Lovage } from 'lovage'
import type { QueueStats } from 'lovage'
import { internals } from '../../packages/lovage/src/app/internals.ts'
import type { StoredState } from '../../packages/lovage/src/core/record.ts'
import type { FinalState, Histories } from './checkers/histories.ts'
import { ofWorkers } from './checkers/impairments.ts'
import { drain } from './drain.ts'
import { drivers } from './drivers/all.ts'
import type { ChaosDriver, Left, RunningDriver } from './drivers/driver.ts'
import { FaultMaker } from './fault-maker.ts'
import { Fleet } from './fleet.ts'
import { openHistory, type EffectLine, type ProducerLine, type SeenLine } from './programs/history.ts'
import { seededRandom } from './programs/random.ts'
import { createProject, type Project } from './project.ts'
import { readHistories } from './read-histories.ts'
import { judge, type Report } from './report.ts'
import type { Settings } from './settings.ts'

/** Runs it and says what came of it; the histories lie in `folder` until `discard` is called. */
export interface Finished {
  readonly report: Report
  readonly folder: string
  readonly discard: () => void
}

export async function run(settings: Settings, say: (line: string) => void): Promise<Finished> {
  const driver = drivers.find(({ name }) => name === settings.driver) as ChaosDriver
  const project = createProject(settings.break)
  const home = join(project.root, 'driver')
  mkdirSync(home)
  const { minutes, leaseMs } = settings
  const running = await driver.start({ folder: home, minutes, leaseMs }).catch((error: unknown) => {
    project.remove()
    throw error
  })
  const fleet = new Fleet({
    project,
    sizes: { worker: settings.workers, producer: settings.producers, reader: settings.readers },
    env: environment(settings, project, running),
    faults: openHistory(project.histories, 'faults'),
  })
  const goneWithUs = (): void => {
    fleet.killAll()
    project.remove()
  }
  process.once('exit', goneWithUs)
  let report: Report | undefined
  try {
    if (running.leftOut !== undefined) say(`LEFT OUT: ${running.leftOut}`)
    report = await runFleet({ settings, driver, project, running, fleet, say })
    return { report, folder: project.root, discard: () => project.remove() }
  } finally {
    fleet.killAll()
    process.off('exit', goneWithUs)
    await running.stop()
    if (report === undefined) project.remove()
  }
}

interface Parts {
  readonly settings: Settings
  readonly driver: ChaosDriver
  readonly project: Project
  readonly running: RunningDriver
  readonly fleet: Fleet
  readonly say: (line: string) => void
}

async function runFleet({ settings, driver, project, running, fleet, say }: Parts): Promise<Report> {
  const { brokerUrl, resultBackend } = running
  const app = new Lovage('chaos', { brokerUrl, ...(resultBackend === undefined ? {} : { resultBackend }) })
  try {
    await internals(app).backend()
    await fleet.start()
    await new FaultMaker({ settings, fleet, running, random: seededRandom(settings.seed), say }).run()
    fleet.note('drain')
    const left = async (): Promise<Left> => (await running.left?.()) ?? counted(await app.queue('celery').stats())
    const troubles = [...(await drain({ left, fleet, say })), ...((await running.examine?.()) ?? [])]
    const histories = await gather(app, project, fleet)
    return judge({ histories, troubles, settings, driver })
  } finally {
    await app.close()
  }
}

function environment(settings: Settings, project: Project, running: RunningDriver): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:LOVAGE|CELERY|CHAOS|VITEST|NODE_OPTIONS)/.test(name))
  return {
    ...Object.fromEntries(own),
    ...running.env,
    NO_COLOR: '1',
    LOVAGE_BROKER_URL: running.brokerUrl,
    ...(running.resultBackend === undefined ? {} : { LOVAGE_RESULT_BACKEND: running.resultBackend }),
    LOVAGE_LEASE_MS: String(settings.leaseMs),
    CHAOS_HISTORIES: project.histories,
    CHAOS_SEED: String(settings.seed),
    CHAOS_RATE: String(settings.rate / settings.producers),
    CHAOS_MIX: JSON.stringify(settings.mix),
  }
}

async function gather(app: Lovage, project: Project, fleet: Fleet): Promise<Histories> {
  const read = <T>(prefix: string): T[] => readHistories<T>(project.histories, prefix)
  const producers = read<ProducerLine>('producer-')
  const effects = ofWorkers(read<EffectLine>('effects-'), fleet.faults)
  const ids = [...new Set([...producers, ...effects].map(({ id }) => id))]
  const finals = await readFinals(app, ids)
  const kept = openHistory(project.histories, 'finals')
  for (const [id, final] of finals) kept.write({ id, ...final })
  const { atomic: isAtomic } = await internals(app).backend()
  return { producers, effects, seen: read<SeenLine>('reader-'), faults: fleet.faults, finals, isAtomic }
}

async function readFinals(app: Lovage, ids: readonly string[]): Promise<Map<string, FinalState>> {
  const { results } = await internals(app).backend()
  const finals = new Map<string, FinalState>()
  for (let from = 0; from < ids.length; from += 500) {
    for (const lookup of await results.getMany(ids.slice(from, from + 500)))
      if (lookup.kind === 'state') finals.set(lookup.state.id, toFinal(lookup.state))
    await wait(0)
  }
  return finals
}

function toFinal({ state, value = '', readyAt }: StoredState): FinalState {
  const hash = createHash('sha1').update(value).digest('base64url').slice(0, 12)
  const isError = state === 'FAILURE' || state === 'REVOKED'
  return {
    state,
    ready: readyAt !== undefined,
    value: hash,
    ...(readyAt === undefined ? {} : { readyAt }),
    ...(isError && value !== '' ? { error: (JSON.parse(value) as { type: string }).type } : {}),
  }
}

/** @throws {Error} the broker does not tell all: a drain of what nobody sees would prove nothing. */
function counted({ ready, delayed, unsettled }: QueueStats): Left {
  if (delayed === undefined || unsettled === undefined)
    throw new Error('the broker cannot count: its driver needs left()')
  return { ready, delayed, unsettled }
}

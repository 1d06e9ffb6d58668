/** Runs rows: every side in every round, interleaved. A side that fails is shown as such and stops nothing. */
import { freshFile, remove } from './data.ts'
import { interleave, median } from './measure.ts'
import type { PeerName, RabbitSetup, Setup } from './peers/peer.ts'
import { peersOf, type Figures, type Metric, type Prepared, type Row } from './rows/row.ts'
import type { Settings } from './settings.ts'
import { measureSide, prepareSide } from './side.ts'
import { isCelery, type RabbitStage } from './stage.ts'

export interface RowResult {
  readonly name: string
  readonly title: string
  readonly metrics: readonly Metric[]
  readonly sides: Readonly<Partial<Record<PeerName, SideResult>>>
}

export interface SideResult {
  /** One for each round. */
  readonly samples: Readonly<Record<string, readonly number[]>>
  readonly medians: Figures
  readonly error?: string
}

interface Course {
  readonly rounds: Figures[]
  prepared?: Prepared | undefined
  error?: string
}

/** @param stage for rows on RabbitMQ */
export async function runRow(row: Row, settings: Settings, stage?: RabbitStage): Promise<RowResult> {
  const peers = chosenPeers(row, settings, stage)
  const courses = new Map<PeerName, Course>(peers.map(peer => [peer, { rounds: [] }]))
  const attempt = async (peer: PeerName, step: (course: Course, setup: Setup) => Promise<void>) => {
    const course = courses.get(peer)
    if (!course || course.error !== undefined) return
    const file = freshFile(settings.folder)
    try {
      const { concurrency, claim, prefetch } = settings
      const setup = { file, concurrency, claim, prefetch }
      await withBroker(row, stage, rabbit => step(course, { ...setup, rabbit }))
    } catch (error) {
      course.error = error instanceof Error ? error.message : String(error)
    }
    remove(file)
  }
  const request = (peer: PeerName, course: Course, setup: Setup) => ({
    row: row.name,
    peer,
    settings,
    setup,
    prepared: course.prepared,
  })

  if (row.prepare) {
    for (const peer of peers) {
      await attempt(peer, async (course, setup) => {
        course.prepared = await prepareSide(request(peer, course, setup))
      })
    }
  }
  for (const peer of interleave(peers, settings.rounds).flat()) {
    await attempt(peer, async (course, setup) => {
      course.rounds.push(await measureSide(request(peer, course, setup)))
    })
  }
  for (const { prepared } of courses.values()) {
    for (const { file } of Object.values(prepared ?? {})) remove(file)
  }
  return { name: row.name, title: row.title, metrics: row.metrics(settings), sides: summarise(courses) }
}

/** @param stage what it has not got is left out */
export function chosenPeers(row: Row, { peers }: Settings, stage?: RabbitStage): readonly PeerName[] {
  const isMissing = (peer: PeerName) => stage !== undefined && stage.celery === undefined && isCelery(peer)
  return peers.filter(peer => peersOf(row).includes(peer) && !isMissing(peer))
}

async function withBroker(
  { rabbitmq }: Row,
  stage: RabbitStage | undefined,
  run: (rabbit?: RabbitSetup) => Promise<void>,
): Promise<void> {
  if (rabbitmq === undefined) return await run()
  if (stage === undefined) throw new Error('there is no RabbitMQ')
  await stage.use(rabbitmq.results, run)
}

function summarise(courses: ReadonlyMap<PeerName, Course>): RowResult['sides'] {
  return Object.fromEntries(
    Array.from(courses, ([peer, { rounds, error }]) => {
      const names = Object.keys(rounds[0] ?? {})
      const samples = Object.fromEntries(names.map(name => [name, rounds.map(round => round[name] ?? Number.NaN)]))
      const medians = Object.fromEntries(names.map(name => [name, median(samples[name] ?? [])]))
      return [peer, { samples, medians, ...(error === undefined ? {} : { error }) }]
    }),
  )
}

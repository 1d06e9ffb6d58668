/** Runs rows: every side in every round, interleaved. A side that fails is shown as such and stops nothing. */
import { freshFile, remove } from './data.ts'
import { interleave, median } from './measure.ts'
import type { PeerName, Setup } from './peers/peer.ts'
import type { Figures, Metric, Prepared, Row } from './rows/row.ts'
import type { Settings } from './settings.ts'
import { measureSide, prepareSide } from './side.ts'

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

export async function runRow(row: Row, settings: Settings): Promise<RowResult> {
  const peers = settings.peers.filter(peer => row.peers?.includes(peer) ?? true)
  const courses = new Map<PeerName, Course>(peers.map(peer => [peer, { rounds: [] }]))
  const attempt = async (peer: PeerName, step: (course: Course, setup: Setup) => Promise<void>) => {
    const course = courses.get(peer)
    if (!course || course.error !== undefined) return
    const file = freshFile(settings.folder)
    try {
      await step(course, { file, concurrency: settings.concurrency, claim: settings.claim })
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

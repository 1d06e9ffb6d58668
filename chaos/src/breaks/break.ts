import type { Mix } from '../programs/mix.ts'

/** One textual change; `from` stands in the file exactly once. */
export interface Edit {
  readonly from: string
  readonly to: string
}

/** What a run is made of when it looks for one bug; the usual where absent. */
interface Focus {
  readonly minutes?: number
  readonly workers?: number
  readonly killsPerMinute?: number
  readonly freezesPerMinute?: number
  readonly producerKillsPerMinute?: number
  readonly fillsPerMinute?: number
  readonly rate?: number
  readonly mix?: Mix
}

export interface Break {
  /** For people: what is wrong, and what it leads to. */
  readonly what: string
  /** The rules by which it is found, one of them at least. Anything else that is found with it may be something else. */
  readonly foundAs: readonly [string, ...string[]]
  /** By file, under `packages/lovage/src`. */
  readonly edits: Readonly<Record<string, readonly Edit[]>>
  readonly focus?: Focus
}

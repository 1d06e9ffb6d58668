/**
 * One property: first the cases of its corpus, which failed once, then random ones. `npm test` plays the same cases
 * every time; `npm run fuzz` sets the seed and the time by FUZZ_SEED and FUZZ_MS, and with
 * FUZZ_KEEP writes a failing case, shrunk, into the corpus.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import fc, { type Arbitrary, type RunDetails } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { caseText, parseCase } from './cases.ts'

export interface Property<T> {
  readonly of: Arbitrary<T>
  /** Throws when the property does not hold. */
  readonly holds: (given: T) => void | Promise<void>
  /** Random cases in `npm test`. @default 500 */
  readonly runs?: number
}

/** Of one property in `npm test`, at most. */
const shortMs = 1500
const longMs = Number(process.env['FUZZ_MS'] ?? 0)
const isLong = longMs > 0
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_122)

/**
 * Properties about one subject. Each has its cases in `corpus/SUBJECT.json`: `{"PROPERTY": [case, …]}`.
 */
export function fuzz(subject: string, properties: Readonly<Record<string, Property<never>>>): void {
  const corpus = new Corpus(subject)
  describe(subject, () => {
    it('has no corpus of properties that are gone', () => {
      expect(corpus.names().filter(name => !(name in properties))).toEqual([])
    })
    for (const [name, property] of Object.entries(properties)) {
      it(name, { timeout: 60_000 + longMs * 2 }, () => check(corpus, name, property as unknown as Property<unknown>))
    }
  })
}

/** Gives a property its type. */
export function property<T>(whole: Property<T>): Property<never> {
  return whole as unknown as Property<never>
}

async function check(corpus: Corpus, name: string, { of, holds, runs = 500 }: Property<unknown>): Promise<void> {
  for (const known of corpus.cases(name)) await holds(known)
  const endsAt = performance.now() + (isLong ? longMs : shortMs)
  for (let round = 0; round === 0 || (isLong && performance.now() < endsAt); round++) {
    const details = await playOnce({ of, holds, runs }, (seed + round) % 0x7fffffff, endsAt)
    if (!details.failed) continue
    if (process.env['FUZZ_KEEP'] === '1') corpus.add(name, details.counterexample?.[0])
    throw new Error(story(details), { cause: details.errorInstance })
  }
}

/** Of what is left when the time is over, nothing is played; what has failed is shrunk all the same. */
async function playOnce(
  { of, holds, runs }: Required<Property<unknown>>,
  roundSeed: number,
  endsAt: number,
): Promise<RunDetails<[unknown]>> {
  let played = 0
  let hasFailed = false
  const run = fc.asyncProperty(of, async given => {
    if (played > 0 && !hasFailed && performance.now() > endsAt) return
    played++
    try {
      await holds(given)
    } catch (error) {
      hasFailed = true
      throw error
    }
  })
  return await fc.check(run, { seed: roundSeed, numRuns: runs })
}

function story(details: RunDetails<[unknown]>): string {
  const given = details.counterexample === null ? 'nothing' : shown(details.counterexample[0])
  return [
    `seed ${details.seed}, after ${details.numRuns} cases and ${details.numShrinks} shrinks:`,
    given,
    String((details.errorInstance as Error | undefined)?.message ?? details.errorInstance),
  ].join('\n')
}

function shown(value: unknown): string {
  const text = caseText(value)
  return text.length > 4000 ? `${text.slice(0, 4000)}… (${text.length} characters)` : text
}

type CasesByProperty = Readonly<Record<string, readonly unknown[]>>

class Corpus {
  readonly #url: URL
  readonly #cases: CasesByProperty

  constructor(subject: string) {
    this.#url = new URL(`../corpus/${subject.replaceAll(' ', '-')}.json`, import.meta.url)
    this.#cases = this.#read()
  }

  names(): string[] {
    return Object.keys(this.#cases)
  }

  cases(name: string): unknown[] {
    return (this.#cases[name] ?? []).map(parseCase)
  }

  add(name: string, found: unknown): void {
    // read anew: another property may have added to it
    const cases = this.#read()
    const more = { ...cases, [name]: [...(cases[name] ?? []), JSON.parse(caseText(found)) as unknown] }
    writeFileSync(this.#url, `${JSON.stringify(more, null, 2)}\n`)
  }

  #read(): CasesByProperty {
    return existsSync(this.#url) ? (JSON.parse(readFileSync(this.#url, 'utf8')) as CasesByProperty) : {}
  }
}

/**
 * Turns tables of cases into tests. A case is skipped only because the driver declares that it lacks a capability, and
 * its name then says which; the last test of each suite checks that exactly those were skipped. Vitest is imported,
 * not taken as a parameter: its matchers say what differs, and a parameter would have to copy its types.
 */
import { describe, expect, it } from 'vitest'
import type { DriverOptions } from '../../backend.ts'
import type { ConformanceDriver } from './driver.ts'
import { openLab } from './lab.ts'
import type { Half, Lab } from './lab.ts'

type Need =
  | 'delay'
  | 'delaySeconds'
  | 'priorities'
  | 'lease'
  | 'counts'
  | 'atomicSettle'
  | 'handOvers'
  | 'keepsPlace'
  | 'vanish'
  | 'conditional'
  | 'pointRead'
  | 'retention'

const needs: Readonly<Record<Need, (driver: ConformanceDriver) => boolean>> = {
  delay: ({ broker }) => broker.delay === true,
  delaySeconds: ({ broker }) => broker.delay !== false,
  priorities: ({ broker }) => broker.priorities > 0,
  lease: ({ broker }) => broker.redelivery === 'lease',
  counts: ({ broker }) => broker.counts,
  atomicSettle: ({ broker }) => broker.atomicSettle,
  handOvers: ({ broker }) => broker.handOvers === 'counted',
  keepsPlace: ({ broker }) => broker.keepsPlace,
  vanish: ({ vanish }) => vanish,
  conditional: ({ results }) => results.conditional,
  pointRead: ({ results }) => results.pointRead,
  retention: ({ results }) => results.retention === 'record',
}

export interface Case {
  /** A sentence. */
  readonly name: string
  /** Without one of these capabilities there is nothing to test. */
  readonly needs?: readonly Need[]
  /** Of the namespace. Leases are long unless the case waits for one to end. */
  readonly options?: DriverOptions
  readonly run: (lab: Lab) => Promise<void>
}

/** Leases of cases in which a holder vanishes. */
export const shortLease: DriverOptions = { leaseMs: 300 }

export interface Suite {
  readonly title: string
  /** What each case opens of a connection. */
  readonly halves: readonly Half[]
  /** Cases by subject. */
  readonly subjects: Readonly<Record<string, readonly Case[]>>
}

const caseTimeoutMs = 15_000

export function defineSuite(driver: ConformanceDriver, { title, halves, subjects }: Suite): void {
  const ran = new Set<Case>()
  describe(title, () => {
    for (const [subject, cases] of Object.entries(subjects)) {
      describe(subject, () => {
        for (const each of cases)
          defineCase(driver, each, async () => {
            ran.add(each)
            await runCase(driver, halves, each)
          })
      })
    }
    it('skips exactly the cases that a missing capability explains', () => {
      const expected = Object.values(subjects)
        .flat()
        .filter(each => missing(driver, each).length === 0)
      expect([...ran].map(({ name }) => name).sort()).toEqual(expected.map(({ name }) => name).sort())
    })
  })
}

function defineCase(driver: ConformanceDriver, each: Case, run: () => Promise<void>): void {
  const lacks = missing(driver, each)
  if (lacks.length === 0) it(each.name, { timeout: caseTimeoutMs }, run)
  else it.skip(`${each.name} (skipped: the driver declares no ${lacks.join(', no ')})`, run)
}

function missing(driver: ConformanceDriver, each: Case): readonly Need[] {
  return (each.needs ?? []).filter(need => !needs[need](driver))
}

async function runCase(driver: ConformanceDriver, halves: readonly Half[], each: Case): Promise<void> {
  const namespace = await driver.openNamespace(each.options ?? { leaseMs: 30_000 })
  const lab = openLab({ driver, namespace, halves })
  try {
    await each.run(lab)
  } catch (error) {
    // what the case found matters more than what cleaning up after it finds
    await lab.close().catch(() => undefined)
    throw error
  }
  await lab.close()
}

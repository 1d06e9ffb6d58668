/** The seeded bugs, by name: negative controls. A run that does not find them proves nothing. */
import type { Break } from './break.ts'
import { claimBreaks } from './claims.ts'
import { settleBreaks } from './settlement.ts'
import { workerBreaks } from './worker.ts'

export const breaks: Readonly<Record<string, Break>> = { ...settleBreaks, ...claimBreaks, ...workerBreaks }

export const breakNames: readonly string[] = Object.keys(breaks)

export function describeBreaks(): string {
  const width = Math.max(...breakNames.map(name => name.length))
  return breakNames.map(name => `  ${name.padEnd(width)}  ${breaks[name]?.what}`).join('\n')
}

/** `npm run bench`: runs the rows, prints them one by one, writes all of it as JSON. Figures never pass or fail. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { measureFsync } from './fsync.ts'
import { describeMachine } from './machine.ts'
import { loadPeer } from './peers/load.ts'
import { rows } from './rows/all.ts'
import type { Row } from './rows/row.ts'
import { runRow, type RowResult } from './run.ts'
import { parseSettings, usage, type Settings } from './settings.ts'
import { formatHeader, formatRow, type Configurations } from './table.ts'

const home = resolve(import.meta.dirname, '..')

try {
  const settings = parseSettings(process.argv.slice(2), home)
  if (settings === 'help') console.log(usage.replace('ROWS', describeRows()))
  else await bench(settings)
} catch (error) {
  if (!(error instanceof TypeError || error instanceof RangeError)) throw error
  console.error(`${error.message}\n\nSee npm run bench -- --help`)
  process.exitCode = 64
}

async function bench(given: Settings): Promise<void> {
  const chosen = chooseRows(given.only)
  const settings = { ...given, folder: ownFolder(given.folder) }
  const machine = describeMachine(measureFsync(settings.folder, settings.isQuick ? 100 : 1000))
  const configurations = await describePeers(settings)
  console.log(`${formatHeader(machine, settings, configurations)}\n`)

  const results: RowResult[] = []
  for (const row of chosen) {
    const result = await runRow(row, settings)
    results.push(result)
    console.log(`${formatRow(result)}\n`)
    write(settings.json, { at: new Date().toISOString(), machine, settings, configurations, rows: results })
  }
  console.log(`written to ${settings.json}`)
}

/** Gone with this process, also when it is interrupted. */
function ownFolder(parent: string): string {
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'run-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  process.on('SIGINT', () => process.exit(130))
  return folder
}

function chooseRows(only: readonly string[]): readonly Row[] {
  const unknown = only.find(name => !rows.some(row => row.name === name))
  if (unknown !== undefined)
    throw new RangeError(`--only ${unknown}: one of ${rows.map(({ name }) => name).join(', ')}`)
  return only.length > 0 ? rows.filter(({ name }) => only.includes(name)) : rows.filter(({ isExtra }) => !isExtra)
}

async function describePeers({ peers, concurrency, claim }: Settings): Promise<Configurations> {
  const described = peers.map(async name => {
    try {
      return [name, (await loadPeer(name)).configuration({ concurrency, claim })] as const
    } catch (error) {
      return [name, { failed: error instanceof Error ? error.message : String(error) }] as const
    }
  })
  return Object.fromEntries(await Promise.all(described))
}

function describeRows(): string {
  return rows
    .map(({ name, title, isExtra }) => `  ${name.padEnd(13)} ${title}${isExtra ? ' (only when asked for)' : ''}`)
    .join('\n')
}

function write(path: string, value: unknown): void {
  mkdirSync(dirname(resolve(path)), { recursive: true })
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`)
}

/** `npm run bench`: runs the rows, prints them one by one, writes all of it as JSON. Figures never pass or fail. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { measureFsync } from './fsync.ts'
import { describeMachine } from './machine.ts'
import { loadPeer } from './peers/load.ts'
import type { BrokerName, PeerFacts, PeerName } from './peers/peer.ts'
import { rows } from './rows/all.ts'
import { brokerOf, type Row } from './rows/row.ts'
import { chosenPeers, runRow, type RowResult } from './run.ts'
import { parseSettings, usage, type Settings } from './settings.ts'
import { openRabbitStage, type RabbitStage } from './stage.ts'
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
  const opening = openStage(chosen, settings)
  process.on('SIGINT', () => void opening.then(closeStage).finally(() => process.exit(130)))
  const stage = await opening
  const isPossible = (row: Row) => row.rabbitmq === undefined || stage !== undefined
  const possible = chosen.filter(row => isPossible(row) && chosenPeers(row, settings, stage).length > 0)
  try {
    await runRows(possible, settings, stage)
  } finally {
    await closeStage(stage)
  }
}

async function runRows(chosen: readonly Row[], settings: Settings, stage: RabbitStage | undefined): Promise<void> {
  const fsync = measureFsync(settings.folder, settings.isQuick ? 100 : 1000)
  const machine = { ...describeMachine(fsync), rabbitmq: stage?.version }
  const configurations = await describeSides(chosen, settings, stage)
  console.log(`${formatHeader(machine, settings, configurations)}\n`)

  const results: RowResult[] = []
  for (const row of chosen) {
    const result = await runRow(row, settings, stage)
    results.push(result)
    console.log(`${formatRow(result)}\n`)
    write(settings.json, { at: new Date().toISOString(), machine, settings, configurations, rows: results })
  }
  console.log(`written to ${settings.json}`)
}

async function openStage(chosen: readonly Row[], settings: Settings): Promise<RabbitStage | undefined> {
  const peers = chosen.filter(row => row.rabbitmq !== undefined).flatMap(row => chosenPeers(row, settings))
  return peers.length === 0 ? undefined : await openRabbitStage(settings.folder, peers)
}

async function closeStage(stage: RabbitStage | undefined): Promise<void> {
  await stage?.close()
}

/** Gone with this process. */
function ownFolder(parent: string): string {
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'run-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function chooseRows(only: readonly string[]): readonly Row[] {
  const isOne = (name: string, row: Row) => row.name === name || (row.isExtra !== true && brokerOf(row) === name)
  const unknown = only.find(name => !rows.some(row => isOne(name, row)))
  if (unknown !== undefined)
    throw new RangeError(`--only ${unknown}: one of sqlite, rabbitmq, ${rows.map(({ name }) => name).join(', ')}`)
  return rows.filter(row => (only.length > 0 ? only.some(name => isOne(name, row)) : !row.isExtra))
}

async function describeSides(
  chosen: readonly Row[],
  settings: Settings,
  stage: RabbitStage | undefined,
): Promise<Configurations> {
  const describe = async (broker: BrokerName) => {
    const rowsOn = chosen.filter(row => brokerOf(row) === broker)
    const peers = new Set(rowsOn.flatMap(row => chosenPeers(row, settings, stage)))
    const facts = { ...settings, celery: stage?.celery }
    const sides = Array.from(peers, async name => [name, await describePeer(name, broker, facts)] as const)
    return [broker, Object.fromEntries(await Promise.all(sides))] as const
  }
  return Object.fromEntries(await Promise.all(Array.from(new Set(chosen.map(brokerOf)), describe)))
}

async function describePeer(name: PeerName, broker: BrokerName, facts: PeerFacts): Promise<Record<string, string>> {
  try {
    return (await loadPeer(name, broker)).configuration(facts)
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) }
  }
}

function describeRows(): string {
  return rows
    .map(({ name, title, isExtra }) => `  ${name.padEnd(26)} ${title}${isExtra ? ' (only when asked for)' : ''}`)
    .join('\n')
}

function write(path: string, value: unknown): void {
  mkdirSync(dirname(resolve(path)), { recursive: true })
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`)
}

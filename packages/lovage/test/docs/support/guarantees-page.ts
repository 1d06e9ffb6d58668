import { globSync, readFileSync } from 'node:fs'
import type { BrokerCapabilities } from '../../../src/broker.ts'
import { openConnection } from '../../../src/drivers/registry.ts'
import type { ResultCapabilities } from '../../../src/result-store.ts'
import { root } from './pages.ts'

/** What a driver says of itself. */
interface Declared {
  readonly broker: BrokerCapabilities
  readonly results: ResultCapabilities
}

/** A URL for each, by the folder it is in; nothing is opened. */
export const driverUrls: Readonly<Record<string, string>> = {
  memory: 'memory:',
  sqlite: 'sqlite:capabilities.db',
  rabbitmq: 'amqp://localhost',
}

async function declarationOf(url: string): Promise<Declared> {
  const connection = await openConnection(url)
  await connection.close()
  return { broker: connection.broker.capabilities, results: connection.results.capabilities }
}

const rows: readonly (readonly [name: string, of: (driver: Declared) => string])[] = [
  ['atomic settlement', ({ broker }) => yesNo(broker.atomicSettle)],
  ['redelivery', ({ broker }) => broker.redelivery],
  ['hand-overs', ({ broker }) => broker.handOvers],
  ['delay by the broker', ({ broker }) => (broker.delay === 'seconds' ? 'in whole seconds' : yesNo(broker.delay))],
  ['priorities', ({ broker }) => (broker.priorities === 0 ? 'no' : `0 to ${broker.priorities}`)],
  ['publishing in your own transaction', ({ broker }) => yesNo(broker.transactions)],
  ['what is delayed or held, counted', ({ broker }) => yesNo(broker.counts)],
  ['results, compared in one step', ({ results }) => yesNo(results.conditional)],
  ['results, read by id', ({ results }) => yesNo(results.pointRead)],
  ['results, kept', ({ results }) => retentions[results.retention]],
]

const retentions: Readonly<Record<ResultCapabilities['retention'], string>> = {
  record: 'as long as each says',
  store: 'as long as the store says',
  none: 'for ever',
}

function yesNo(is: boolean): string {
  return is ? 'yes' : 'no'
}

/** The page with the part between `<!-- capabilities -->` and `<!-- end -->` written anew. */
export async function writeCapabilities(page: string): Promise<string> {
  const names = Object.keys(driverUrls).filter(name => openableDrivers().has(name))
  const drivers = await Promise.all(names.map(name => declarationOf(driverUrls[name] ?? '')))
  const lines = [
    `| | ${names.join(' | ')} |`,
    `|---|${names.map(() => '---').join('|')}|`,
    ...rows.map(([name, of]) => `| ${name} | ${drivers.map(of).join(' | ')} |`),
  ]
  return page.replace(/(?<=<!-- capabilities -->\n)[\s\S]*?(?=<!-- end -->)/, `\n${lines.join('\n')}\n\n`)
}

/** The drivers that the registry can open, by the folder they are in. */
export function openableDrivers(): Set<string> {
  const text = readFileSync(new URL('packages/lovage/src/drivers/registry.ts', root), 'utf8')
  return new Set(Array.from(text.matchAll(/import\('\.\/(\w+)\//g), ([, name = '']) => name))
}

/** The commands of a page: what stands between backquotes and begins like one. */
export function commandsOf(page: string): string[] {
  return Array.from(page.matchAll(/`((?:npm run|npx vitest) [^`]+)`/g), ([, command = '']) => command)
}

const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>
}

/** What is wrong with a command; undefined: all that it names is there. */
export function wrongCommand(command: string): string | undefined {
  const words = Array.from(command.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? '')
  return words[0] === 'npm' ? wrongScript(words) : wrongTest(words)
}

const breakFiles = ['chaos/src/breaks/*.ts', 'packages/lovage/test/simulation/breakages.ts']

function wrongScript([, , script = '', ...options]: readonly string[]): string | undefined {
  if (manifest.scripts[script] === undefined) return `there is no script ${script}`
  const broken = options[options.indexOf('--break') + 1]
  if (!options.includes('--break') || broken === undefined) return undefined
  const isThere = filesOf(breakFiles).some(text => text.includes(`'${broken}'`))
  return isThere ? undefined : `there is no seeded bug ${broken}`
}

function wrongTest(words: readonly string[]): string | undefined {
  const project = words[words.indexOf('--project') + 1] ?? ''
  const title = words.includes('-t') ? (words[words.indexOf('-t') + 1] ?? '') : ''
  const [first = ''] = words.slice(words.indexOf('--project') + 2)
  // a part of a path, as Vitest takes it
  const filter = first.startsWith('-') ? '' : first
  const found = filesOf([`packages/lovage/test/${project}/**/*.test.ts`], path => path.includes(filter))
  if (found.length === 0) return `no test file of the project ${project} matches ${filter}`
  // the suites' titles are in the suites
  const suites = project === 'conformance' ? filesOf(['packages/lovage/src/testing/conformance/**/*.ts']) : []
  return [...found, ...suites].some(text => text.includes(title)) ? undefined : `no test there is called ${title}`
}

function filesOf(patterns: readonly string[], isWanted: (path: string) => boolean = () => true): string[] {
  return patterns
    .flatMap(pattern => globSync(pattern, { cwd: root }))
    .map(path => path.replaceAll('\\', '/'))
    .filter(isWanted)
    .map(path => readFileSync(new URL(path, root), 'utf8'))
}

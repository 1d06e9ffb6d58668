/** `npm run chaos`: one run, its figures, an exit code. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { runCelery } from './celery/main.ts'
import { formatReport } from './report.ts'
import { run } from './run.ts'
import { parseSettings, usage, type Settings } from './settings.ts'

// again and again: npm passes on what the terminal has sent already, and the second one must not cut the cleaning short
process.on('SIGHUP', () => process.exit(129))
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))

try {
  const args = process.argv.slice(2)
  process.exitCode = args.some(arg => /^--celery(?:=|$)/.test(arg)) ? await runCelery(args) : await runChaos(args)
} catch (error) {
  const isUsage = error instanceof RangeError || (error instanceof TypeError && 'code' in error)
  console.error(isUsage ? `${error.message}\n\nSee npm run chaos -- --help` : error)
  process.exitCode = isUsage ? 64 : 2
}

async function runChaos(args: readonly string[]): Promise<number> {
  const settings = parseSettings(args)
  if (settings !== 'help') return await chaos(settings)
  console.log(usage)
  return 0
}

async function chaos(settings: Settings): Promise<number> {
  console.log(`${settings.minutes} min on ${settings.driver}, seed ${settings.seed}`)
  const { report, folder, discard } = await run(settings, line => console.log(line))
  console.log(formatReport(report))
  if (settings.json !== undefined) {
    mkdirSync(dirname(resolve(settings.json)), { recursive: true })
    writeFileSync(settings.json, `${JSON.stringify(report, undefined, 2)}\n`)
  }
  const isSound = report.violations.length === 0
  if (settings.keep !== undefined) {
    cpSync(folder, resolve(settings.keep), { recursive: true, filter: source => !source.includes('node_modules') })
    console.log(`histories: ${resolve(settings.keep)}`)
    discard()
  } else if (isSound) discard()
  else console.log(`histories: ${folder}`)
  return isSound ? 0 : 1
}

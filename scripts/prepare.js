// Runs before `npm test`, `npm start` and `npm run check`, so that all three work on a clone that
// was never installed, and again after somebody else's commit changed a dependency. It runs on the
// machine's own Node with nothing installed: plain JavaScript, no dependencies, Node 18 is enough.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const modules = join(root, 'node_modules')
const stampFile = join(modules, '.lovage-installed')

prepare()

function prepare() {
  const wanted = stamp()
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return
  install()
  // again: an install may have brought the lockfile up to date
  writeFileSync(stampFile, stamp())
}

/** What is installed is a function of these files and of the platform. */
function stamp() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const file of ['package-lock.json', ...manifests()]) {
    const path = join(root, file)
    if (existsSync(path)) hash.update(`${file}\n`).update(readFileSync(path))
  }
  return hash.digest('hex')
}

function manifests() {
  const nested = ['packages', 'examples'].flatMap(folder =>
    folders(folder).map(name => `${folder}/${name}/package.json`),
  )
  return ['package.json', 'bench/package.json', 'chaos/package.json', ...nested]
}

function folders(folder) {
  const path = join(root, folder)
  return existsSync(path) ? readdirSync(path).sort() : []
}

/**
 * `npm ci` where nothing is installed; `npm install` where something is, because `ci` would first
 * delete it, perhaps under a test or an editor that is running.
 */
function install() {
  const isFresh = !existsSync(modules)
  if (isFresh && npm('ci')) return
  if (isFresh && process.env.CI)
    fail('npm ci failed. In CI the lockfile is the truth: run `npm install` and commit it.')
  if (!npm('install')) fail('npm install failed; what npm printed above says why.')
}

function npm(command) {
  console.log(`Installing what is missing or stale: npm ${command}`)
  const args = [command, '--no-audit', '--no-fund', '--loglevel=error']
  const cli = process.env.npm_execpath
  const done = cli
    ? spawnSync(process.execPath, [cli, ...args], { cwd: root, stdio: 'inherit' })
    : spawnSync('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  return done.status === 0
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

// Builds the package as it is published, into packages/lovage/publish. In the repository the
// package's exports name its sources, so that tests, examples and benches run what is being edited,
// with no build and no export condition; here they are turned to the compiled files.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { browserBundle } from '../packages/lovage/src/web/browser-bundle.ts'

const root = new URL('../', import.meta.url)
const source = new URL('packages/lovage/', root)
const target = new URL('publish/', source)

rmSync(target, { recursive: true, force: true })
compile()
await writeBrowserBundle()
writeManifest()
copyFiles()

function compile() {
  const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root))
  const project = fileURLToPath(new URL('tsconfig.build.json', source))
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}

function writeManifest() {
  const {
    scripts: _scripts,
    publishConfig: _publishConfig,
    devDependencies: _dev,
    ...manifest
  } = readJson('package.json')
  const exports = Object.entries(manifest.exports).map(([name, path]) => [name, publishedPath(path)])
  const published = { ...manifest, exports: Object.fromEntries(exports), files: ['dist', 'bin', 'docs'] }
  writeFileSync(new URL('package.json', target), `${JSON.stringify(published, null, 2)}\n`)
}

function publishedPath(path) {
  if (!path.startsWith('./src/')) return path
  const base = path.replace('./src/', './dist/').replace(/\.ts$/, '')
  return { types: `${base}.d.ts`, default: `${base}.js` }
}

/** In the repository this module makes the script that the server kit serves; as published, it holds it. */
async function writeBrowserBundle() {
  const bundle = JSON.stringify(await browserBundle())
  const code = `export function browserBundle() {\n  return Promise.resolve(${bundle})\n}\n`
  writeFileSync(new URL('dist/web/browser-bundle.js', target), code)
}

function readJson(path) {
  return JSON.parse(readFileSync(new URL(path, source), 'utf8'))
}

/** What is no module of TypeScript travels as it is: a page, a style sheet, a statement in SQL. */
function copyFiles() {
  const assets = globSync('src/**/*', { cwd: source, withFileTypes: true }).filter(isAsset).map(pathBelowSource)
  for (const path of assets) copy(path, path.replace('src/', 'dist/'))
  copy('bin')
  copy('../../README.md', 'README.md')
  copy('../../LICENSE', 'LICENSE')
  // error messages name it
  copy('../../docs/errors.md', 'docs/errors.md')
  if (existsSync(new URL('CHANGELOG.md', source))) copy('CHANGELOG.md')
}

function isAsset(entry) {
  return entry.isFile() && !/\.ts$|README\.md$|tsconfig\.json$/.test(entry.name)
}

function pathBelowSource(entry) {
  return `${entry.parentPath}/${entry.name}`.replaceAll('\\', '/').replace(/^.*?\/(?=src\/)/, '')
}

function copy(from, to = from) {
  cpSync(new URL(from, source), new URL(to, target), { recursive: true })
}

// `npm run package-check`: builds and packs the package, lets publint and attw read the tarball, then
// installs it into an empty project and imports every export: the sources are what we test daily,
// and this is what users get.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'lovage-package-'))
try {
  const tarball = pack()
  run('publint', ['run', tarball, '--strict'])
  run('attw', [tarball, '--profile', 'esm-only'])
  installAndImport(tarball)
  console.log('ok   the package can be published')
} catch (error) {
  console.error(`FAIL ${error.message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function pack() {
  run('node', ['scripts/build.js'])
  run('npm', ['pack', './packages/lovage/publish', '--pack-destination', folder, '--silent'])
  return join(
    folder,
    readdirSync(folder).find(name => name.endsWith('.tgz')),
  )
}

function installAndImport(tarball) {
  const project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  run('npm', ['install', tarball, '--no-audit', '--no-fund', '--loglevel=error'], project)
  const { exports, peerDependencies } = JSON.parse(
    readFileSync(join(project, 'node_modules/lovage/package.json'), 'utf8'),
  )
  const names = Object.keys(exports).filter(name => name !== './package.json')
  // all optional: what needs none of them must load without them
  importAll(
    names.filter(name => name !== './react' && name !== './testing/conformance'),
    project,
  )
  run('npm', ['install', ...Object.keys(peerDependencies), '--no-audit', '--no-fund', '--loglevel=error'], project)
  importAll(names, project)
}

function importAll(names, project) {
  const code = names.map(name => `await import(${JSON.stringify(name.replace('.', 'lovage'))})`).join('\n')
  run('node', ['--input-type=module', '--eval', code], project)
}

function run(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) throw new Error(`${command} ${args[0]} failed`)
}

// `npm run servers -- redis-server …`: makes sure that the named server programs are there for tests
// against real servers. In CI a missing one is installed, and the run fails when that fails, so that
// no suite is skipped there in silence; elsewhere it says what to install.
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Program → Debian package. */
const packages = {
  'redis-server': 'redis-server',
  'rabbitmq-server': 'rabbitmq-server',
  postgres: 'postgresql',
  chromium: 'chromium',
}

const lock = join(tmpdir(), 'lovage-apt.lock')

const missing = process.argv.slice(2).filter(program => !isInstalled(program))
if (missing.length > 0) provide(missing)

function isInstalled(program) {
  return (
    spawnSync('sh', ['-c', `command -v ${program} || ls /usr/sbin/${program} /usr/lib/postgresql/*/bin/${program}`])
      .status === 0
  )
}

function provide(programs) {
  const names = programs.map(program => packages[program] ?? program)
  if (!process.env.CI)
    return stop(`Missing: ${programs.join(', ')}. On Debian or Ubuntu: sudo apt-get install ${names.join(' ')}`)
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...names]]) {
    // several test files may ask at a time, and apt has one lock that it does not wait for
    const { status } = spawnSync('flock', [lock, 'apt-get', ...args], { stdio: 'inherit' })
    if (status !== 0) return stop(`apt-get ${args[0]} failed`)
  }
}

function stop(message) {
  console.error(message)
  process.exitCode = 1
}

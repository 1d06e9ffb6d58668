// `node scripts/celery.js`: the newest Celery from pip, in a folder of its own, for the tests that need a Python beside
// the system's. May be run again at any time: it then brings the newest.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { oneAtATime } from './one-at-a-time.js'

const folder = join(dirname(fileURLToPath(import.meta.url)), '../node_modules/.cache/lovage-celery')
const python = join(folder, 'bin/python')
// what kombu 5.7 compresses with below Python 3.14, which has its own; the extra celery[zstd] brings another one
const zstd = "backports.zstd; python_version < '3.14'"

oneAtATime(() => {
  if (!existsSync(python)) run('python3', ['-m', 'venv', folder])
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--upgrade', 'celery', 'django', zstd])
})
console.log(python)

function run(program, args) {
  const { status } = spawnSync(program, args, { stdio: 'inherit' })
  if (status === 0) return
  throw new Error(`${program} ${args.join(' ')} failed`)
}

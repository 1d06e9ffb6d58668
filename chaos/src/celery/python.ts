/** A Python of its own, with the newest Celery and its Redis client from pip. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { goneWithUs } from '../gone-with-us.ts'

const home = resolve(import.meta.dirname, '../../../node_modules/.cache/lovage-chaos/celery')

export interface Python {
  /** Its interpreter. */
  readonly path: string
  /** For people: of Celery, kombu and the client. */
  readonly versions: string
  run(script: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string>
  /** What a script of this folder prints. */
  json(script: string, env: NodeJS.ProcessEnv): Promise<Readonly<Record<'queued' | 'unacked', readonly string[]>>>
}

/** @throws {Error} there is no python3, or pip could not install. */
export function preparePython(): Python {
  const path = join(home, 'bin/python')
  if (!existsSync(join(home, 'bin/celery'))) install(path)
  const run: Python['run'] = async (script, args, env) => {
    const file = join(import.meta.dirname, script)
    const running = promisify(execFile)(path, [file, ...args], { env, maxBuffer: 1 << 28 })
    void goneWithUs(running.child)
    return (await running).stdout
  }
  return {
    path,
    versions: versionsOf(path),
    run,
    json: async (script, env) =>
      JSON.parse(await run(script, [], env)) as Readonly<Record<'queued' | 'unacked', readonly string[]>>,
  }
}

function install(path: string): void {
  console.log('installing celery[redis] with pip')
  const isMade = spawnSync('python3', ['-m', 'venv', home], { stdio: 'inherit' }).status === 0
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'celery[redis]']
  if (!isMade || spawnSync(path, pip, { stdio: 'inherit' }).status !== 0)
    throw new Error('Celery could not be installed: this takes python3 with venv, and a package index')
}

function versionsOf(path: string): string {
  const code =
    'import sys, celery, kombu, redis; print(f"{celery.__version__}, kombu {kombu.__version__}, redis-py {redis.__version__}, Python {sys.version.split()[0]}")'
  return execFileSync(path, ['-c', code], { encoding: 'utf8' }).trim()
}

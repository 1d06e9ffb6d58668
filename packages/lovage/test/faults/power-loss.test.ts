/** Fault 37: the power goes at any moment of a workload. The file is sound, and what was promised is in it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openSqlite } from '../../src/drivers/sqlite/sqlite.ts'
import { seededRandom } from '../../src/testing/conformance/seeded-random.ts'
import { Disk, readSteps, recorder, type Fate, type Step } from './support/power-loss.ts'
import { inspect, testFile } from './support/sqlite-tasks.ts'
import { hasStrace } from './support/tools.ts'
import { isLong } from './support/until.ts'

const workload: string = fileURLToPath(new URL('./support/disk-process.ts', import.meta.url))
const fates: readonly Fate[] = ['none', 'some', 'all']

test.skipIf(!hasStrace())(
  'fault 37: whenever the power goes, the file is sound and holds what was accepted, settled and begun for good',
  async () => {
    const file = testFile()
    onTestFinished(() => file.remove())
    const connection = openSqlite(file.url)
    await connection.broker.open()
    await connection.close()
    const disk = new Disk(
      new Map([
        [file.path, readFileSync(file.path)],
        [`${file.path}-wal`, Buffer.alloc(0)],
      ]),
    )
    const steps = await record(file.url, join(file.folder, 'strace'))
    const promised: string[] = []
    const random = seededRandom(7)
    const broken: object[] = []
    let cuts = 0
    for (const [index, step] of steps.entries()) {
      disk.take(step)
      if (step.kind === 'said') promised.push(...promisesOf(step.text))
      if (!isLong && index % 5 !== 0) continue
      for (const fate of fates) {
        cuts++
        const path = restore(join(file.folder, `cut-${cuts}`), disk.after(fate, random))
        const lost = promised.filter(promise => !isKept(path, promise))
        const state = { ...inspect(path), lost }
        if (state.integrity !== 'ok' || state.miscounted > 0 || lost.length > 0)
          broken.push({ index, step, fate, ...state })
      }
    }
    console.log(`${cuts} cuts of the power in ${steps.length} steps; ${promised.length} promises`)
    expect(broken).toEqual([])
    // the log was moved into the file on the way, and begun anew
    expect(steps.filter(step => step.kind === 'sync' && step.path === file.path).length).toBeGreaterThan(0)
    expect(promised.filter(promise => promise.startsWith('settled'))).toHaveLength(4)
  },
  600_000,
)

async function record(url: string, log: string): Promise<Step[]> {
  const args = [...recorder, '-o', log, process.execPath, workload, url, 'rest']
  const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  expect(await once(child, 'close')).toEqual([0, null])
  return readSteps(log)
}

/** `accepted a`: what was told, and may not be untrue afterwards. */
function promisesOf(text: string): string[] {
  return text
    .split('\n')
    .filter(line => /^\{"(?:accepted|settled|begun)"/.test(line))
    .flatMap(line => Object.entries(JSON.parse(line) as Record<string, string[]>))
    .map(([word, [id]]) => `${word} ${id ?? ''}`)
}

function isKept(path: string, promise: string): boolean {
  const [word, id = ''] = promise.split(' ')
  const db = new DatabaseSync(path)
  try {
    const state = (db.prepare('SELECT state FROM tasks WHERE id = ?').get(id) as { state: string } | undefined)?.state
    if (word === 'settled') return state === 'SUCCESS'
    if (word === 'begun') return state === 'STARTED'
    return state === 'SUCCESS' || db.prepare('SELECT 1 FROM messages WHERE id = ?').get(id) !== undefined
  } finally {
    db.close()
  }
}

function restore(folder: string, files: ReadonlyMap<string, Buffer>): string {
  mkdirSync(folder)
  for (const [path, bytes] of files) if (bytes.length > 0) writeFileSync(join(folder, basename(path)), bytes)
  return join(folder, 'queue.db')
}

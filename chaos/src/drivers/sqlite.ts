/** The embedded default: one file, on a small disk of its own where that can be had. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { ChaosDriver } from './driver.ts'
import { mountVolume } from './volume.ts'

export const sqlite: ChaosDriver = {
  name: 'sqlite',
  recoveryGoalMs: 500,
  async start({ folder, minutes }) {
    // several times what the usual rate of tasks takes
    const volume = mountVolume(join(folder, 'disk'), 64 + Math.ceil(minutes * 24))
    const home = volume === undefined ? join(folder, 'data') : join(folder, 'disk')
    mkdirSync(home, { recursive: true })
    const path = join(home, 'queue.db')
    return {
      brokerUrl: `sqlite://${path}`,
      ...(volume === undefined
        ? { leftOut: 'the disk is never filled: mounting a small one takes root on Linux' }
        : { volume }),
      examine: async () => examine(path),
      stop: async () => volume?.unmount(),
    }
  },
}

function examine(path: string): string[] {
  const db = new DatabaseSync(path)
  try {
    const found = db.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[]
    const words = found.map(({ integrity_check: word }) => word)
    return words.length === 1 && words[0] === 'ok' ? [] : words
  } finally {
    db.close()
  }
}

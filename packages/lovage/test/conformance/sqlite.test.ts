import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'vitest'
import { sqliteBrokerCapabilities } from '../../src/drivers/sqlite/broker.ts'
import { sqliteResultCapabilities } from '../../src/drivers/sqlite/results.ts'
import { openSqlite } from '../../src/drivers/sqlite/sqlite.ts'
import type { ConformanceDriver } from '../../src/testing/conformance/index.ts'
import {
  brokerConformance,
  coordinationConformance,
  resultStoreConformance,
} from '../../src/testing/conformance/index.ts'
import { forkHolder } from './support/fork-holder.ts'

const sqlite: ConformanceDriver = {
  broker: sqliteBrokerCapabilities,
  results: sqliteResultCapabilities,
  vanish: true,
  async openNamespace(options) {
    const folder = mkdtempSync(join(tmpdir(), 'lovage-sqlite-'))
    const url = `sqlite://${pathToFileURL(join(folder, 'queue.db')).pathname}`
    return {
      connect: async () => openSqlite(url, options),
      openHolder: async () => forkHolder(url, options),
      async drop() {
        const left = openFiles(folder)
        rmSync(folder, { recursive: true })
        expect(left).toEqual([])
      },
    }
  },
}

/** What this process has open below a folder. */
function openFiles(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(folder) ? [path] : []
    } catch {
      return []
    }
  })
}

brokerConformance('sqlite', sqlite)
resultStoreConformance('sqlite', sqlite)
coordinationConformance('sqlite', sqlite)

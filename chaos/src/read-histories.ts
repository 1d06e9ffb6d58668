import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** All lines of the files whose names begin so. What a kill has torn is the last line of its file: it is left out. */
export function readHistories<T>(folder: string, prefix: string): T[] {
  const names = readdirSync(folder).filter(name => name.startsWith(prefix))
  return names.flatMap(name => {
    const lines = readFileSync(join(folder, name), 'utf8').split('\n')
    return lines.slice(0, -1).map(line => JSON.parse(line) as T)
  })
}

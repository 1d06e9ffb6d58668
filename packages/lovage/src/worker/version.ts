/** This package's version, from its package.json: the same place above `src` and above `dist`. */
import { readFileSync } from 'node:fs'

const file: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

export const version: string =
  typeof file === 'object' && file !== null && 'version' in file ? String(file.version) : 'unknown'

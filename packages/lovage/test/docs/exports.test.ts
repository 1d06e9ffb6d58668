import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { packageFile, readSources } from './support/package-files.ts'

const manifest = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { exports: Record<string, string> }
const exported = Object.entries(manifest.exports).filter(([name]) => name !== './package.json')

describe('the exports of the package', () => {
  it('name files that exist', () => {
    expect(exported.filter(([, path]) => !path.startsWith('./src/') || !existsSync(packageFile(path)))).toEqual([])
  })

  // an index.ts is an entry point and nothing else, so one without an export is a forgotten line
  it('name every index.ts of src, by its folder', () => {
    const entries = Object.keys(readSources()).filter(path => /(^|\/)index\.ts$/.test(path))
    const expected = entries.map(path => [`./${path}`.replace(/\/index\.ts$/, ''), `./src/${path}`])
    const found = exported.filter(([, path]) => path.endsWith('/index.ts'))
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected))
  })

  it('are modules that load and export something', async () => {
    const load = async (path: string) => Object.keys((await import(packageFile(path).href)) as object)
    const loaded = await Promise.all(exported.map(async ([name, path]) => ({ name, exports: await load(path) })))
    expect(loaded.filter(({ exports }) => exports.length === 0)).toEqual([])
  })
})

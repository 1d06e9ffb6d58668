import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as errors from '../../src/core/errors.ts'

const { errorRegistry } = errors
const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')
const documented = Array.from(page.matchAll(/^## (\S+)$/gm), ([, code]) => code)

describe('the error registry', () => {
  it('is what docs/errors.md documents, code by code', () => {
    expect(new Set(documented)).toEqual(new Set(Object.keys(errorRegistry)))
  })

  it.each(Object.entries(errorRegistry))('%s stands for an exported class of that code', (code, entry) => {
    const type = (errors as Record<string, unknown>)[entry.class]
    expect(type).toBeTypeOf('function')
    expect((type as { code?: string }).code).toBe(code)
    expect((type as { name: string }).name).toBe(entry.class)
  })

  it('knows every error class that is exported', () => {
    const exported = Object.entries(errors).filter(([, value]) => isErrorClass(value) && value !== errors.LovageError)
    const registered = new Set(Object.values(errorRegistry).map(entry => entry.class))
    expect(exported.map(([name]) => name).filter(name => !registered.has(name))).toEqual([])
  })
})

function isErrorClass(value: unknown): boolean {
  return typeof value === 'function' && value.prototype instanceof Error
}

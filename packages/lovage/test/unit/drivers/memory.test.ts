import { expect, it } from 'vitest'
import type { Connection } from '../../../src/backend.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import type { MemoryRegistry } from '../../../src/drivers/memory/memory.ts'

async function put(connection: Connection, key: string): Promise<void> {
  await connection.coordination.open()
  await connection.coordination.put(key, 'x', 60_000)
}

async function keys(connection: Connection): Promise<readonly string[]> {
  await connection.coordination.open()
  return (await connection.coordination.list('')).map(({ key }) => key)
}

it('connections that name one URL share a namespace, others do not', async () => {
  const registry: MemoryRegistry = new Map()
  const [a, b, other] = ['memory://one', 'memory://one', 'memory://two'].map(url =>
    openMemory(new URL(url), {}, registry),
  )
  if (a === undefined || b === undefined || other === undefined) throw new Error('Three were opened')
  await put(a, 'key')
  expect([await keys(b), await keys(other)]).toEqual([['key'], []])
  await Promise.all([a, b, other].map(each => each.close()))
})

it('a namespace ends with its last connection', async () => {
  const registry: MemoryRegistry = new Map()
  const url = new URL('memory://one')
  const [a, b] = [openMemory(url, {}, registry), openMemory(url, {}, registry)]
  await put(a, 'key')
  await a.close()
  await a.close()
  expect(await keys(b)).toEqual(['key'])
  await b.close()
  expect(registry.size).toBe(0)
  const later = openMemory(url, {}, registry)
  expect(await keys(later)).toEqual([])
  await later.close()
})

it('a URL without a name is a namespace of its own', async () => {
  const [a, b] = [openMemory(new URL('memory:')), openMemory(new URL('memory://'))]
  await put(a, 'key')
  expect(await keys(b)).toEqual([])
  await Promise.all([a.close(), b.close()])
})

it('connections opened apart meet by way of the process', async () => {
  const [a, b] = [openMemory(new URL('memory://shared/path')), openMemory(new URL('memory://shared/path'))]
  await put(a, 'key')
  expect(await keys(b)).toEqual(['key'])
  expect(a.description).toBe('memory://shared/path')
  await Promise.all([a.close(), b.close()])
})

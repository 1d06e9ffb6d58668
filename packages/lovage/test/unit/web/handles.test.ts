import { createHmac } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Lovage } from '../../../src/app/lovage.ts'
import { ConfigurationError, IllegalStateError, InvalidArgumentError } from '../../../src/core/errors.ts'
import type { HandlePayload } from '../../../src/web/contract.ts'
import { checkHandle, handleLimitMs, renewPayload, signHandle, toHandleKeys } from '../../../src/web/handles.ts'
import { taskRoutes } from '../../../src/web/index.ts'
import { bearer, kit } from './support.ts'

const now = Date.UTC(2026, 10, 22)
const [key, other] = toHandleKeys(['a'.repeat(32), 'b'.repeat(32)])
if (key === undefined || other === undefined) throw new Error('two keys were made')
const payload: HandlePayload = { sub: 'task-1', allow: ['read'], exp: now / 1000 + 900, aud: 'mysite' }
const check = { keys: [key], audience: 'mysite', now }
const kindOf = (handle: string, given = check): string => checkHandle(handle, given).kind

describe('a handle', () => {
  const handle = signHandle(payload, key)

  it('is what was signed', () => {
    expect(checkHandle(handle, check)).toEqual({ kind: 'valid', payload })
  })

  it('is refused with any bit of it flipped', () => {
    const bytes = Buffer.from(handle)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(kindOf(flipped.toString('latin1')), `bit ${bit}`).toBe('forged')
    }
  })

  it('is refused when cut anywhere, or made longer', () => {
    for (let length = 0; length < handle.length; length++) expect(kindOf(handle.slice(0, length))).toBe('forged')
    for (const more of ['A', '=', '.', '\n', '\0', 'é']) expect(kindOf(handle + more)).toBe('forged')
  })

  it('is refused with its parts in another order, doubled or left out', () => {
    const parts = handle.split('.')
    const orders = [
      [0, 1, 3, 2],
      [1, 0, 2, 3],
      [0, 2, 1, 3],
      [3, 2, 1, 0],
      [0, 1, 2, 2],
      [0, 1, 2],
      [0, 1, 2, 3, 3],
    ]
    for (const order of orders) expect(kindOf(order.map(index => parts[index]).join('.'))).toBe('forged')
  })

  it('is refused with the other spellings of its MAC that base64 knows', () => {
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const letter of last) {
      const spelt = handle.slice(0, -1) + letter
      expect(kindOf(spelt)).toBe(spelt === handle ? 'valid' : 'forged')
    }
  })

  it('is refused under the id of another key, or signed with one that is not ours', () => {
    const [version, , body, mac] = handle.split('.')
    expect(kindOf([version, other.id, body, mac].join('.'), { ...check, keys: [key, other] })).toBe('forged')
    expect(kindOf(signHandle(payload, other))).toBe('forged')
  })

  it('of another app is refused', () => {
    expect(kindOf(handle, { ...check, audience: 'othersite' })).toBe('forged')
  })

  it('ends when it says', () => {
    expect(kindOf(handle, { ...check, now: payload.exp * 1000 - 1 })).toBe('valid')
    expect(kindOf(handle, { ...check, now: payload.exp * 1000 })).toBe('expired')
  })

  it('that would live longer than a day is refused', () => {
    expect(kindOf(signHandle({ ...payload, exp: now / 1000 + 2 * 86_400 }, key))).toBe('forged')
  })

  it('is refused when its payload is not one, though it is signed', () => {
    const shapes: unknown[] = [
      null,
      1,
      'x',
      [],
      {},
      { ...payload, sub: '' },
      { ...payload, allow: 'read' },
      { ...payload, exp: '9' },
    ]
    for (const shape of shapes) expect(kindOf(signHandle(shape as HandlePayload, key))).toBe('forged')
  })

  it('is good with any of the keys, and signed with the first', async () => {
    const old = await kit({ secret: 'a'.repeat(32) })
    const rotated = await kit({ secret: ['b'.repeat(32), 'a'.repeat(32)] })
    await rotated.put({ id: 'task-1' })
    for (const each of [old.handle('task-1'), rotated.handle('task-1')])
      expect((await rotated.ask('/task-1', bearer(each))).status).toBe(200)
    await old.put({ id: 'task-1' })
    expect((await old.ask('/task-1', bearer(rotated.handle('task-1')))).status).toBe(404)
  })
})

describe('renewing', () => {
  it('goes on for a day from the first one', () => {
    let current: HandlePayload = { ...payload, iat: now / 1000 }
    let at = now
    for (let next: HandlePayload | undefined = current; next !== undefined; next = renewPayload(current, at)) {
      current = next
      at = current.exp * 1000 - 60_000
    }
    expect(current.exp * 1000).toBe(now + handleLimitMs)
    expect(current).toMatchObject({ sub: payload.sub, allow: payload.allow, aud: payload.aud })
  })
})

describe('minting', () => {
  it('allows reading and the result, for a quarter of an hour, unless told otherwise', async () => {
    const { handle } = await kit({ secret: 'a'.repeat(32) })
    const read = (text: string): HandlePayload =>
      JSON.parse(Buffer.from(text.split('.')[2] ?? '', 'base64url').toString()) as HandlePayload
    const { sub, allow, exp, aud, iat = 0 } = read(handle('task-1'))
    expect({ sub, allow, aud }).toEqual({ sub: 'task-1', allow: ['read', 'result'], aud: 'mysite' })
    expect(exp - iat).toBeGreaterThanOrEqual(900)
    expect(read(handle('task-1', { allow: ['read', 'revoke'] })).allow).toEqual(['read', 'revoke'])
  })

  it.each([
    [{ allow: ['write'] }, /allow has "write": expected read, result, log, revoke/],
    [{ expiresInMs: 86_400_001 }, /a handle lasts 86400000 \(a day\) at most/],
    [{ expiresInMs: -1 }, /expected milliseconds/],
    [{ permission: ['read'] }, /there is no option "permission"/],
  ])('refuses %j', async (options, message) => {
    const { handle } = await kit()
    expect(() => handle('task-1', options as never)).toThrow(message)
  })

  it('refuses a task whose id reads as a list of tasks', async () => {
    const { handle, routes } = await kit()
    for (const id of ['owner:ada', 'tag:red']) expect(() => handle(id)).toThrow(InvalidArgumentError)
    expect(() => routes.handle(undefined as never)).toThrow(/is no AsyncResult/)
    expect(() => routes.listHandle({} as never)).toThrow(/expected \{ owner \} or \{ tag \}/)
  })
})

describe('the secret', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('is one that all processes share, when none is set: the store keeps it', async () => {
    const first = await kit()
    const second = taskRoutes(first.app)
    await first.put({ id: 'task-1' })
    const answer = await second.fetch(new Request('http://app.test/tasks/task-1', bearer(first.handle('task-1'))))
    expect(answer.status).toBe(200)
    await second.close()
  })

  it('kept in the store is not known before the app was used, which the error says', async () => {
    const app = new Lovage('mysite', { brokerUrl: 'memory://not-yet-open' })
    const routes = taskRoutes(app)
    expect(() => routes.handle(app.result('task-1'))).toThrow(IllegalStateError)
    expect(() => routes.handle(app.result('task-1'))).toThrow(/await routes.ready\(\)/)
    await app.sendTask('any', [])
    expect(routes.handle(app.result('task-1'))).toMatch(/^v1\./)
    await app.close()
  })

  it.each([['short'], ['a'.repeat(31)], [['a'.repeat(32), 'short']], [[]]])('is refused when too short: %j', secret => {
    expect(() => taskRoutes(new Lovage('mysite'), { secret })).toThrow(ConfigurationError)
    expect(() => taskRoutes(new Lovage('mysite'), { secret })).toThrow(/LOVAGE_SECRET=[\w-]{43}$/)
  })

  it('must be set in production, where the broker is a server; the line to paste is printed', () => {
    vi.stubEnv('NODE_ENV', 'production')
    const app = (): Lovage => new Lovage('mysite', { brokerUrl: 'redis://cache' })
    expect(() => taskRoutes(app())).toThrow(/No secret is set.*\nLOVAGE_SECRET=[\w-]{43}$/)
    expect(() => taskRoutes(app(), { secret: 'a'.repeat(32) })).not.toThrow()
    vi.stubEnv('LOVAGE_SECRET', 'c'.repeat(32))
    expect(() => taskRoutes(app())).not.toThrow()
    vi.stubEnv('LOVAGE_SECRET', '')
    vi.stubEnv('NEXT_PHASE', 'phase-production-build')
    expect(() => taskRoutes(app())).not.toThrow()
  })
})

describe('the lines of Python in docs/web.md', () => {
  const page = readFileSync(new URL('../../../../../docs/web.md', import.meta.url), 'utf8')
  const program = /```python\n(.*?)```/s.exec(page)?.[1] ?? ''
  const hasPython = spawnSync('python3', ['--version']).status === 0

  it.skipIf(!hasPython)('mint a handle that is accepted', async () => {
    const secret = 'python-and-typescript-share-this-one'
    const call = `${program}\nprint(task_handle("task-ü", "mysite", ${JSON.stringify(secret)}))\n`
    const { stdout, stderr } = spawnSync('python3', ['-c', call], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const { put, ask } = await kit({ secret })
    await put({ id: 'task-ü', state: 'SUCCESS', value: '7' })
    const answer = await ask(`/${encodeURIComponent('task-ü')}`, bearer(stdout.trim()))
    expect(await answer.json()).toMatchObject({ state: 'SUCCESS', result: 7 })
  })

  it('sign what this test signs by hand', () => {
    const head = `v1.${key.id}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
    const mac = createHmac('sha256', key.secret).update(head).digest('base64url')
    expect(kindOf(`${head}.${mac}`)).toBe('valid')
  })
})

import { expect, it } from 'vitest'
import { revokeMs, revokePrefix } from '../../../src/core/keys.ts'
import { openMemory } from '../../../src/drivers/memory/memory.ts'
import { TestClock } from '../../../src/testing/index.ts'
import { Revokes } from '../../../src/worker/revokes.ts'

const nothing = (): void => undefined

it('keeps as many of those heard in passing as Celery does, the newest, and every one that has a key', async () => {
  const { coordination } = openMemory(new URL('memory://'), {}, new Map())
  await coordination.open()
  await coordination.put(`${revokePrefix}kept`, '{"terminate":true}', revokeMs)
  const revokes = new Revokes()
  await revokes.start(coordination, nothing)
  for (let n = 0; n < 50_001; n++) revokes.add(`heard-${n}`, { terminate: false })
  expect(revokes.find('heard-0')).toBeUndefined()
  expect(revokes.find('heard-1')).toEqual({ terminate: false })
  expect(revokes.find('heard-50000')).toEqual({ terminate: false })
  expect(revokes.find('kept')).toEqual({ terminate: true })
  revokes.stop()
})

it('keeps a revoke for an hour once its task has ended, and for a week if not', async () => {
  const clock = new TestClock()
  const { coordination } = openMemory(new URL('memory://'), { clock }, new Map())
  await coordination.open()
  const revokes = new Revokes()
  await revokes.start(coordination, nothing)
  for (const id of ['ended', 'waiting']) await coordination.put(revokePrefix + id, '{"terminate":true}', revokeMs)
  revokes.ended('ended')
  revokes.ended('unknown')
  await clock.advance(3_500_000)
  expect(revokes.find('ended')).toEqual({ terminate: true })
  await clock.advance(200_000)
  expect(revokes.find('ended')).toBeUndefined()
  expect(revokes.find('waiting')).toEqual({ terminate: true })
  expect((await coordination.list(revokePrefix)).map(({ key }) => key)).toEqual([`${revokePrefix}waiting`])
  revokes.stop()
})

import { describe, expect, test } from 'vitest'
import { crashPoint, parseCrashAt } from '../../../src/core/crash-point.ts'

describe('LOVAGE_CRASH_AT', () => {
  test.each([
    ['W7', { name: 'W7', left: 1, repeats: false, action: 'kill' }],
    ['W7:3', { name: 'W7', left: 3, repeats: false, action: 'kill' }],
    ['W7:stop', { name: 'W7', left: 1, repeats: false, action: 'stop' }],
    ['W7:3:throw', { name: 'W7', left: 3, repeats: false, action: 'throw' }],
    ['W14:2+:throw', { name: 'W14', left: 2, repeats: true, action: 'throw' }],
  ])('%s names a point, a passage and an action', (text, armed) => {
    expect(parseCrashAt(text)).toEqual(armed)
  })

  test.each([undefined, '', 'W', 'X7', 'W7:', 'W7:3:burn', 'W7:3:kill:4', 'W7+:kill'])('%j arms nothing', text => {
    expect(parseCrashAt(text)).toBeUndefined()
  })

  test('unset, a crash point is passed', () => {
    expect(() => crashPoint('W2')).not.toThrow()
  })
})

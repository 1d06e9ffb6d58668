import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIsoTime, parseIsoTime } from '../../../src/protocol/iso-time.ts'

describe('parseIsoTime', () => {
  it.each<[string, number]>([
    ['2026-11-22T06:15:18.639072+00:00', Date.UTC(2026, 10, 22, 6, 15, 18, 639)],
    ['2026-11-22T06:15:18Z', Date.UTC(2026, 10, 22, 6, 15, 18)],
    ['2026-11-22 06:15', Date.UTC(2026, 10, 22, 6, 15)],
    ['2026-11-22', Date.UTC(2026, 10, 22)],
    ['2026-11-22T06:15:18,5', Date.UTC(2026, 10, 22, 6, 15, 18, 500)],
    ['2026-07-01T12:00:00+0530', Date.UTC(2026, 6, 1, 6, 30)],
    ['2026-07-01T12:00:00-02', Date.UTC(2026, 6, 1, 14)],
    ['1883-11-18T12:00:00-04:56:02', Date.UTC(1883, 10, 18, 16, 56, 2)],
    ['0001-01-01T00:00:00+00:00', new Date('0001-01-01T00:00:00Z').getTime()],
  ])('reads %s', (text, at) => expect(parseIsoTime(text)).toBe(at))

  it.each([
    '',
    'tomorrow',
    '2026',
    '2026-13-01',
    '2026-02-30',
    '2026-01-01T24:00',
    '2026-01-01T10:60',
    '2026-01-01T10:00:60',
    '2026-01-01T',
    '2026-01-01T10:00+24:00',
    '2026-01-01T10:00+10:60',
    '0000-01-01',
    ' 2026-01-01',
  ])('knows that %j is no time', text => expect(parseIsoTime(text)).toBeUndefined())

  it('reads what formatIsoTime wrote', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }), date => {
        expect(parseIsoTime(formatIsoTime(date.getTime()))).toBe(date.getTime())
      }),
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ControlState, parseEntry } from '../../../src/drivers/rabbitmq/control-state.ts'
import type { ControlEntry, ControlOp } from '../../../src/drivers/rabbitmq/control-state.ts'

let count = 0
const entry = (op: ControlOp, at = 1000): ControlEntry => ({ ...op, nonce: `n${count++}`, at })
const put = (key: string, value: string, ttlMs = 1000): ControlOp => ({ op: 'putIfAbsent', key, value, ttlMs })

describe('what the control stream adds up to', () => {
  it('gives a key to whose entry comes first, and tells the other what stands in the way', () => {
    const state = new ControlState()
    expect(state.apply(entry(put('k', 'first')), 1)).toEqual({
      answer: undefined,
      changes: [{ key: 'k', value: 'first' }],
    })
    expect(state.apply(entry(put('k', 'second')), 2)).toEqual({ answer: 'first', changes: [] })
    expect(state.get('k', 1500)).toBe('first')
    expect(state.get('k', 2000)).toBeUndefined()
  })

  it.each([
    { op: 'put', key: 5, value: 'x', ttlMs: 60_000 },
    { op: 'put', key: 'k', value: 'x' },
    { op: 'lease', name: 'l', holder: 'h', ttlMs: 'long' },
    { op: 'take', key: 'k', n: null, perMs: 1 },
    { op: 'delete' },
    { op: 'unheard of', key: 'k' },
    { op: 'toString' },
    { op: 'fence', at: 'now' },
    null,
  ])('is not made of what anybody may have written there: %o', written => {
    expect(parseEntry(Buffer.from(JSON.stringify({ nonce: 'n', at: 1, ...written })))).toBeUndefined()
    expect(parseEntry(Buffer.from(JSON.stringify(written)))).toBeUndefined()
  })

  it('counts an entry that was written twice once', () => {
    const state = new ControlState()
    const take = entry({ op: 'take', key: 'rate', n: 1, perMs: 1000 })
    expect(state.apply(take, 1).answer).toBe(0)
    expect(state.apply(take, 2)).toEqual({ answer: undefined, changes: [] })
    expect(state.apply(entry({ op: 'take', key: 'rate', n: 1, perMs: 1000 }), 3).answer).toBe(1000)
  })

  it('never goes back in time, whatever the clock of a writer says', () => {
    const state = new ControlState()
    state.apply(entry({ op: 'lease', name: 'leader', holder: 'a', ttlMs: 1000 }, 5000), 1)
    const late = { op: 'lease', name: 'leader', holder: 'b', ttlMs: 1000 } as const
    expect(state.apply(entry(late, 100), 2).answer).toBeUndefined()
    expect(state.apply(entry(late, 6000), 3).answer).toBeGreaterThan(1)
  })

  it('makes tokens of places in the stream, so that they grow also for who reads from the middle', () => {
    const state = new ControlState()
    const lease = (holder: string): ControlOp => ({ op: 'lease', name: 'leader', holder, ttlMs: 10 })
    const first = state.apply(entry(lease('a'), 0), 700).answer
    const second = state.apply(entry(lease('b'), 100), 701).answer
    expect(Number(second)).toBeGreaterThan(Number(first))
    expect(Number(first)).toBeGreaterThan(700)
  })

  it('tells the end of a key once, by the reader or by an entry', () => {
    const state = new ControlState()
    state.apply(entry(put('a', 'x', 100)), 1)
    state.apply(entry(put('b', 'x', 5000)), 2)
    expect(state.expire(1100)).toEqual([{ key: 'a', value: undefined }])
    expect(state.expire(1200)).toEqual([])
    expect(state.apply(entry({ op: 'fence' }, 1300), 3).changes).toEqual([])
    expect(state.apply(entry({ op: 'fence' }, 9000), 4).changes).toEqual([{ key: 'b', value: undefined }])
    expect(state.keys(9000)).toEqual([])
  })

  it('comes to the same end for everybody, whenever they look', () => {
    const op: fc.Arbitrary<ControlOp> = fc.oneof(
      fc.record({
        op: fc.constantFrom('put' as const, 'putIfAbsent' as const),
        key: fc.constantFrom('a', 'b'),
        value: fc.string(),
        ttlMs: fc.nat(500),
      }),
      fc.record({ op: fc.constant('delete' as const), key: fc.constantFrom('a', 'b') }),
      fc.record({
        op: fc.constant('lease' as const),
        name: fc.constant('l'),
        holder: fc.constantFrom('x', 'y'),
        ttlMs: fc.nat(500),
      }),
      fc.record({ op: fc.constant('release' as const), name: fc.constant('l'), holder: fc.constantFrom('x', 'y') }),
      fc.record({
        op: fc.constant('take' as const),
        key: fc.constant('r'),
        n: fc.constant(2),
        perMs: fc.constant(100),
      }),
    )
    const history = fc.array(fc.tuple(op, fc.nat(3000), fc.boolean()), { maxLength: 40 })
    fc.assert(
      fc.property(history, steps => {
        const [reader, looker] = [new ControlState(), new ControlState()]
        for (const [index, [step, at, looks]] of steps.entries()) {
          const each = entry(step, at)
          // one of them looks at the clock in between, which may not change what anybody decides
          if (looks) looker.expire(at)
          expect(looker.apply(each, index).answer).toEqual(reader.apply(each, index).answer)
        }
        expect(looker.keys(1500)).toEqual(reader.keys(1500))
      }),
    )
  })
})

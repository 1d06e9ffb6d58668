import fc from 'fast-check'
import { expect } from 'vitest'
import { formatDuration, parseDuration } from '../../src/core/duration.ts'
import { printable, printableLine } from '../../src/core/printable.ts'
import { isSecretKey, maskUrl, redactJson, redacted, redactText } from '../../src/core/redact.ts'
import { noRetry, retryDelayMs, type ResolvedRetryPolicy } from '../../src/core/retry.ts'
import { isNewer, isReadyState, type StateVersion } from '../../src/core/states.ts'
import { TestClock } from '../../src/testing/index.ts'
import { DueQueue } from '../../src/worker/due-queue.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyText } from './support/wire-values.ts'

/** Few values, so that ties are common. */
const version: fc.Arbitrary<StateVersion> = fc.record({
  state: fc.constantFrom(
    'PENDING',
    'RECEIVED',
    'STARTED',
    'PROGRESS',
    'UPLOADING',
    'RETRY',
    'SUCCESS',
    'FAILURE',
    'REVOKED',
  ),
  retries: fc.nat(2),
  delivery: fc.nat(2),
  seq: fc.nat(3),
})

fuzz('states', {
  'are in a strict order': property({
    of: fc.tuple(version, version, version),
    holds([a, b, c]) {
      expect(isNewer(a, a)).toBe(false)
      expect(isNewer(a, b) && isNewer(b, a)).toBe(false)
      if (isNewer(a, b) && isNewer(b, c)) expect(isNewer(a, c)).toBe(true)
    },
    runs: 3000,
  }),
  'end at the first final one, and never step back': property({
    of: fc.array(version, { maxLength: 30 }),
    holds(versions) {
      let current: StateVersion | undefined
      let final: StateVersion | undefined
      for (const next of versions) {
        if (!isNewer(next, current)) continue
        expect(current !== undefined && isReadyState(current.state)).toBe(false)
        if (current !== undefined) expect(isNewer(current, next)).toBe(false)
        current = next
        if (isReadyState(next.state)) final ??= next
      }
      if (final !== undefined) expect(current).toBe(final)
      expect(versions.some(({ state }) => isReadyState(state))).toBe(final !== undefined)
    },
  }),
  'end up the same in whatever order unready ones arrive': property({
    of: fc.array(
      version.filter(({ state }) => !isReadyState(state)),
      { minLength: 1, maxLength: 8 },
    ),
    holds(versions) {
      const fold = (list: readonly StateVersion[]): StateVersion | undefined =>
        list.reduce<StateVersion | undefined>((current, next) => (isNewer(next, current) ? next : current), undefined)
      const [forwards, backwards] = [fold(versions), fold(versions.toReversed())]
      // of the same place in the order there may be two
      expect(isNewer(forwards as StateVersion, backwards) || isNewer(backwards as StateVersion, forwards)).toBe(false)
    },
  }),
})

const policy: fc.Arbitrary<ResolvedRetryPolicy> = fc.record({
  max: fc.nat(),
  backoff: fc.constantFrom('fixed', 'exponential'),
  delayMs: fc.oneof(fc.nat(1_000_000), fc.constantFrom(0, 0.5, Number.MAX_VALUE)),
  maxDelayMs: fc.oneof(fc.nat(1_000_000_000), fc.constantFrom(0, 220_000_000_000_000)),
  jitter: fc.boolean(),
})
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

fuzz('retries', {
  'wait a whole number of milliseconds, never more than the policy says': property({
    of: fc.tuple(policy, fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER)), chance),
    holds([each, retries, random]) {
      const delay = retryDelayMs(each, retries, random)
      expect(Number.isInteger(delay) && delay >= 0 && delay <= Math.ceil(each.maxDelayMs)).toBe(true)
    },
  }),
  'wait no shorter the more of them there were': property({
    of: fc.tuple(policy, fc.nat(100), chance),
    holds([each, retries, random]) {
      expect(retryDelayMs(each, retries + 1, random)).toBeGreaterThanOrEqual(retryDelayMs(each, retries, random))
      expect(retryDelayMs({ ...noRetry, jitter: false }, retries, random)).toBe(Math.min(1000 * 2 ** retries, 600_000))
    },
  }),
})

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const durationText = fc.tuple(
  fc.oneof(fc.nat(1_000_000).map(String), fc.stringMatching(/^\d{1,400}$/), fc.stringMatching(/^\d{1,5}\.\d{1,5}$/)),
  fc.constantFrom('', 'ms', 's', 'm', 'h', 'd'),
)

fuzz('durations', {
  'are whole milliseconds, or none': property({
    of: fc.oneof(
      durationText.map(parts => parts.join('')),
      anyText,
    ),
    holds(text) {
      for (const unit of ['ms', 's'] as const) {
        const ms = parseDuration(text, unit)
        if (ms === undefined) continue
        expect(Number.isSafeInteger(ms) && ms >= 0).toBe(true)
        expect(formatDuration(ms)).toMatch(/^\d+(ms|d|h|m|s)( \d+(h|m|s))?$/)
      }
    },
    runs: 1000,
  }),
  'are what they say': property({
    of: fc.tuple(fc.nat(1_000_000), fc.constantFrom('ms', 's', 'm', 'h', 'd')),
    holds: ([count, unit]) => expect(parseDuration(`${count}${unit}`, 's')).toBe(count * unitMs[unit as 's']),
  }),
})

fuzz('texts', {
  'shown in a terminal neither steer nor turn it': property({
    of: anyText,
    holds(text) {
      // oxlint-disable-next-line no-control-regex -- controls are what is looked for
      expect(printable(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
      expect(printableLine(text, 20)).not.toMatch(/[\n\t]/)
      expect(printableLine(text, 20).length).toBeLessThanOrEqual(20)
    },
  }),
  'of JSON stay JSON with their secrets hidden': property({
    of: fc.dictionary(fc.oneof(fc.constantFrom('password', 'apiKey', 'X-Auth-Token', 'name'), anyText), anyText),
    holds(fields) {
      const hidden = JSON.parse(redactJson(JSON.stringify(fields))) as Record<string, unknown>
      for (const [key, value] of Object.entries(fields))
        if (key !== '__proto__') expect(hidden[key]).toBe(isSecretKey(key) ? redacted : value)
    },
  }),
  'never show the password of a URL': property({
    of: fc.tuple(
      fc.constantFrom('amqp', 'redis', 'postgres', 'sqlite'),
      // `;` and a scheme begin another URL: that much must be written with %XX
      fc.oneof(fc.stringMatching(/^[\w:/?#@%!;=&. -]{0,20}$/), anyText).filter(text => !text.includes('://')),
      fc.constantFrom('host', 'host:5672/vhost', '[::1]/', 'a/b?password=hunter2x', ''),
    ),
    holds([scheme, password, host]) {
      const url = `${scheme}://me:hunter2${password}hunter2@${host}`
      expect(maskUrl(url)).not.toContain('hunter2')
      expect(redactText(redactText(url))).toBe(redactText(url))
    },
    runs: 1000,
  }),
})

type Step =
  | readonly ['add', dueIn: number]
  | readonly ['remove', which: number]
  | readonly ['pass', ms: number]
  | readonly ['drain']
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(fc.constant('add' as const), fc.integer({ min: -10, max: 200_000 })),
  fc.tuple(fc.constant('remove' as const), fc.nat(20)),
  fc.tuple(fc.constant('pass' as const), fc.nat(70_000)),
  fc.constant(['drain'] as const),
)

fuzz('the due queue', {
  'gives everything out once, at its time, in order, and never more than it holds': property({
    of: fc.array(step, { maxLength: 40 }),
    async holds(steps) {
      const clock = new TestClock()
      const due: { id: number; dueAt: number }[] = []
      const queue = new DueQueue<{ id: number; dueAt: number }>({ clock, limit: 10, onDue: item => due.push(item) })
      const waiting = new Map<number, { id: number; dueAt: number }>()
      let nextId = 0
      for (const [kind, value = 0] of steps) {
        if (kind === 'add') {
          const item = { id: nextId++, dueAt: clock.now() + value }
          expect(queue.add(item, item.dueAt)).toBe(waiting.size < 10)
          if (waiting.size < 10) waiting.set(item.id, item)
        } else if (kind === 'remove') {
          const item = [...waiting.values()][value]
          if (item !== undefined) expect(queue.remove(item)).toBe(true)
          if (item !== undefined) waiting.delete(item.id)
        } else if (kind === 'drain') {
          expect(new Set(queue.drain())).toEqual(new Set(waiting.values()))
          waiting.clear()
        } else {
          await clock.advance(value)
          const expected = [...waiting.values()].filter(({ dueAt }) => dueAt <= clock.now())
          for (const { id } of expected) waiting.delete(id)
          const given = due.splice(0)
          expect(new Set(given)).toEqual(new Set(expected))
        }
        expect(queue.size).toBe(waiting.size)
      }
    },
    runs: 300,
  }),
})

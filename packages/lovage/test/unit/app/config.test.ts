import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { resolveConfig } from '../../../src/app/config.ts'
import type { ConfigSources } from '../../../src/app/config.ts'
import { settingNames, variableName } from '../../../src/app/settings.ts'
import { ConfigurationError } from '../../../src/core/errors.ts'

function resolve(sources: Partial<ConfigSources>) {
  return resolveConfig({ env: {}, ...sources })
}

describe('where a setting comes from', () => {
  const options = { leaseMs: 3000 }
  const env = { LOVAGE_LEASE_MS: '2s' }

  it('is the flag, then the environment, then the constructor, then the default', () => {
    expect(resolve({ flags: { leaseMs: '1s' }, env, options }).leaseMs).toEqual({ value: 1000, source: 'flag' })
    expect(resolve({ env, options }).leaseMs).toEqual({ value: 2000, source: 'LOVAGE_LEASE_MS' })
    expect(resolve({ options }).leaseMs).toEqual({ value: 3000, source: 'new Lovage()' })
    expect(resolve({}).leaseMs).toEqual({ value: 30_000, source: 'default' })
  })

  it('names the file a variable was read from', () => {
    const config = resolve({ env, envFiles: { LOVAGE_LEASE_MS: '.env.local' } })
    expect(config.leaseMs.source).toBe('LOVAGE_LEASE_MS in .env.local')
  })

  it('is one rule for all of them', () => {
    expect(settingNames.map(variableName)).toContain('LOVAGE_RESULT_EXPIRES_MS')
    expect(variableName('brokerUrl')).toBe('LOVAGE_BROKER_URL')
  })

  it("is Celery's variable when ours is not set", () => {
    const celery = {
      CELERY_BROKER_URL: 'amqp://celery',
      CELERY_TASK_DEFAULT_QUEUE: 'django',
      CELERY_RESULT_EXPIRES: '60',
    }
    const config = resolve({ env: celery })
    expect(config.brokerUrl).toEqual({ value: 'amqp://celery', source: 'CELERY_BROKER_URL' })
    expect(config.defaultQueue.value).toBe('django')
    // Celery counts seconds
    expect(config.resultExpiresMs.value).toBe(60_000)
    expect(resolve({ env: { ...celery, LOVAGE_BROKER_URL: 'redis://ours' } }).brokerUrl.value).toBe('redis://ours')
  })

  it('is the next one when a variable is empty', () => {
    expect(resolve({ env: { LOVAGE_LEASE_MS: '' }, options }).leaseMs.value).toBe(3000)
  })

  it('is a file where the variable with _FILE names one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lovage-config-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'secret'), 'first-key,second-key\n')
    const config = resolve({ env: { LOVAGE_SECRET_FILE: join(folder, 'secret') } })
    expect(config.secret).toEqual({ value: ['first-key', 'second-key'], source: 'LOVAGE_SECRET_FILE' })
    expect(() => resolve({ env: { LOVAGE_SECRET_FILE: join(folder, 'none') } })).toThrow(
      /LOVAGE_SECRET_FILE names ".*none"/,
    )
  })
})

describe('values', () => {
  it.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['1500', 1500],
  ])('of a lease in the environment: %s is %d ms', (text, ms) => {
    expect(resolve({ env: { LOVAGE_LEASE_MS: text } }).leaseMs.value).toBe(ms)
  })

  it.each(['1.5h', 'soon', '-1s', '10'])('of a lease in the environment are not %s', text => {
    const message = `leaseMs (LOVAGE_LEASE_MS) is "${text}": expected a duration from 1s to 1h`
    expect(() => resolve({ env: { LOVAGE_LEASE_MS: text } })).toThrow(message)
  })

  it.each([
    { concurrency: '0' },
    { concurrency: 'many' },
    { concurrency: 1.5 },
    { logLevel: 'loud' },
    { maxBodyBytes: 20 * 1024 * 1024 },
  ])('that cannot be used are refused: %j', flags => expect(() => resolve({ flags })).toThrow(ConfigurationError))

  it('that are secret are not shown', () => {
    expect(() => resolve({ options: { secret: ['hunter2', ''] } })).toThrow(
      /secret \(new Lovage\(\)\) is the value given/,
    )
  })
})

describe('the broker', () => {
  it('is the embedded store when nothing else is said', () => {
    const config = resolve({})
    expect(config.brokerUrl).toEqual({ value: 'sqlite:.lovage/queue.db', source: 'default' })
    expect(config.resultBackend.value).toBe('sqlite:.lovage/queue.db')
    expect(config.defaultQueue.value).toBe('celery')
  })

  it.each(['VERCEL', 'AWS_LAMBDA_FUNCTION_NAME'])('is not the embedded store where %s is set', variable => {
    expect(() => resolve({ env: { [variable]: '1' } })).toThrow(/Set LOVAGE_BROKER_URL to a server that both reach/)
    expect(resolve({ env: { [variable]: '1', LOVAGE_BROKER_URL: 'redis://r' } }).brokerUrl.value).toBe('redis://r')
  })

  it('keeps the results too, unless another one does', () => {
    expect(resolve({ env: { LOVAGE_BROKER_URL: 'memory://a' } }).resultBackend).toEqual({
      value: 'memory://a',
      source: 'LOVAGE_BROKER_URL',
    })
    expect(resolve({ options: { brokerUrl: 'memory://a', resultBackend: 'memory://b' } }).resultBackend.value).toBe(
      'memory://b',
    )
  })

  it.each(['rpc://', 'rpc', 'rpc://guest@localhost//'])('keeps the results where they are, for %s', resultBackend => {
    expect(
      resolve({ env: { CELERY_BROKER_URL: 'amqp://r', CELERY_RESULT_BACKEND: resultBackend } }).resultBackend,
    ).toEqual({
      value: 'amqp://r',
      source: 'CELERY_RESULT_BACKEND',
    })
  })

  it.each([
    ['rpc://', /sends results over the broker, and "sqlite:.* is no RabbitMQ.*\(from CELERY_RESULT_BACKEND\)/],
    ['django-db', /only Celery can. .*\(from CELERY_RESULT_BACKEND\)/],
    ['db+postgresql://me:secret@h/x', /"db\+postgresql:\/\/me:\*+@h\/x", which only Celery can/],
    ['cassandra://', /only Celery can/],
    ['disabled', /cannot be "disabled": leave it unset/],
  ])('is not the result backend that Celery has with %s', (resultBackend, message) => {
    expect(() => resolve({ env: { CELERY_RESULT_BACKEND: resultBackend } })).toThrow(message)
  })

  it('is not rpc://, which is for results', () => {
    expect(() => resolve({ env: { LOVAGE_BROKER_URL: 'rpc://' } })).toThrow(/names where results go, not a broker/)
  })

  it.each([
    ['./queue.db', /is no URL: it begins with no scheme. For a database file write sqlite:/],
    ['reddis://localhost', /Did you mean redis\?/],
    ['kafka://localhost', /Known: memory, sqlite, amqp/],
    ['redis://user:pa ss@@[host', /cannot be read as a URL/],
    ['django-db', /only Celery can. Set LOVAGE_RESULT_BACKEND/],
  ])('refuses %s', (url, message) => {
    expect(() => resolve({ options: { brokerUrl: url } })).toThrow(message)
    expect(() => resolve({ options: { brokerUrl: url } })).toThrow(/from new Lovage\(\)/)
  })

  it('is never named with its password', () => {
    const urls = ['reddis://me:hunter2@host', 'redis://me:hunter2@[host']
    for (const brokerUrl of urls)
      expect(() => resolve({ options: { brokerUrl } })).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
      )
  })
})

it('a variable that is nobody’s is told, with the nearest', () => {
  expect(resolve({ env: { LOVAGE_BROKER_UR: 'x', OTHER: 'y' } }).warnings).toEqual([
    "LOVAGE_BROKER_UR is no variable of Lovage's: did you mean LOVAGE_BROKER_URL?",
  ])
})

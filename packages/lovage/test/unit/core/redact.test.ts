import { describe, expect, it } from 'vitest'
import { isSecretKey, maskUrl, redactJson, redactText } from '../../../src/core/redact.ts'

describe('isSecretKey', () => {
  it.each([
    'password',
    'PASSWORD',
    'userPassword',
    'passwd',
    'pass',
    'db_pass',
    'passphrase',
    'pwd',
    'client_secret',
    'token',
    'accessToken',
    'X-Auth-Token',
    'Authorization',
    'apiKey',
    'api_key',
    'API-KEY',
    'x-api-key',
    'cookie',
    'Set-Cookie',
    'ssn',
    'user_ssn',
    'card',
    'cardNumber',
    'creditCard',
    'credentials',
    'privateKey',
  ])('hides %s', key => expect(isSecretKey(key)).toBe(true))

  it.each(['className', 'discard', 'bypass', 'compass', 'name', 'author', 'key', 'wildcard', ''])('shows %s', key => {
    expect(isSecretKey(key)).toBe(false)
  })
})

describe('redactJson', () => {
  it.each([
    ['{"user":"ada","password":"hunter2"}', '{"user":"ada","password":"***"}'],
    ['[{"a":{"apiKey":{"id":1}}}]', '[{"a":{"apiKey":"***"}}]'],
    ['{"n":123456789012345678901}', '{"n":123456789012345678901}'],
    ['"password"', '"password"'],
    ['{no JSON', '{no JSON'],
  ])('%s', (text, expected) => expect(redactJson(text)).toBe(expected))
})

describe('redactText', () => {
  it.each([
    ['to amqp://guest:s3cret@host:5672//', 'to amqp://guest:***@host:5672//'],
    ['redis://:s3cret@host/0', 'redis://:***@host/0'],
    ['postgres://u:p@ss@host/db and http://c:d@e', 'postgres://u:***@host/db and http://c:***@e'],
    ['http://host:80/a@b', 'http://host:80/a@b'],
    ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!', 'jwt ***!'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest', '***\nrest'],
    ['-----BEGIN PRIVATE KEY-----\nMIIE', '***'],
    ['id AKIAIOSFODNN7EXAMPLE.', 'id ***.'],
    ['Authorization: Bearer abcdefgh12345678', 'Authorization: Bearer ***'],
    ['nothing to hide', 'nothing to hide'],
  ])('%j becomes %j', (text, expected) => expect(redactText(text)).toBe(expected))

  it('takes time in proportion to the text', () => {
    const hostile = [
      'a'.repeat(200_000),
      '://'.repeat(70_000),
      'eyJ-'.repeat(50_000),
      `-----BEGIN ${'A'.repeat(200_000)}`,
    ]
    const startedAt = performance.now()
    for (const text of hostile) redactText(`://${text}`)
    // a quadratic one takes minutes
    expect(performance.now() - startedAt).toBeLessThan(5000)
  })
})

describe('maskUrl', () => {
  it.each([
    ['amqp://guest:guest@localhost:5672//', 'amqp://guest:***@localhost:5672//'],
    ['redis://:p/ss@host:6379/0', 'redis://:***@host:6379/0'],
    ['redis://:a@b@host/0', 'redis://:***@host/0'],
    ['amqp://u:p?q@host/', 'amqp://u:***@host/'],
    ['amqp://host/v@x', 'amqp://host/v@x'],
    ['amqp://user@host', 'amqp://user@host'],
    ['postgres://u:p@h/db?sslpassword=x&a=1#token=y', 'postgres://u:***@h/db?sslpassword=***&a=1#token=***'],
    ['amqp://a:b@c;amqp://d:e@f', 'amqp://a:***@c;amqp://d:***@f'],
    ['sqlite:///var/lib/queue.db', 'sqlite:///var/lib/queue.db'],
    ['memory://', 'memory://'],
    ['queue.db', 'queue.db'],
    ['', ''],
  ])('%s is printed as %s', (url, expected) => expect(maskUrl(url)).toBe(expected))
})

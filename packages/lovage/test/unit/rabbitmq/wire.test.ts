import { describe, expect, it } from 'vitest'
import { fromTable, toTable } from '../../../src/drivers/rabbitmq/headers.ts'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import {
  delayedBindingKey,
  delayedRoutingKey,
  delayLevels,
  isBrokerHeader,
  matchesPattern,
  noticeListener,
  noticeRoute,
} from '../../../src/drivers/rabbitmq/names.ts'
import { channelFault } from '../../../src/drivers/rabbitmq/faults.ts'

describe('headers', () => {
  it('writes integers as 32 or 64 bits, and never as the 16 that an older py-amqp takes for text', () => {
    expect(toTable({ small: 1, middle: 300, large: 2 ** 40, negative: -5, part: 1.5 })).toEqual({
      small: { '!': 'int32', value: 1 },
      middle: { '!': 'int32', value: 300 },
      large: { '!': 'int64', value: 2 ** 40 },
      negative: { '!': 'int32', value: -5 },
      part: { '!': 'double', value: 1.5 },
    })
  })

  it('gives back what it took', () => {
    const headers = { text: 'ü', none: null, yes: true, list: [1, [2.5, 'x'], { deep: 2 ** 40 }], limits: [300, null] }
    expect(fromTable(toTable({ ...headers, absent: undefined }))).toEqual(headers)
  })

  it.each([
    ['a big integer', { a: { b: [1n] } }, /a\.b\[0\]/],
    ['no number', { a: Number.NaN }, /header a /],
    ['what looks like the client’s own types', { a: { '!': 'int8', value: 900 } }, /header a /],
    ['a name that is too long', { ['x'.repeat(256)]: 1 }, /256 bytes/],
  ])('refuses %s, naming it', (_, headers, message) => {
    expect(() => toTable(headers)).toThrow(
      expect.objectContaining({ code: 'E_ENCODE', message: expect.stringMatching(message) }),
    )
  })
})

describe('delayed delivery', () => {
  it('writes the seconds as 28 binary digits before the queue', () => {
    expect(delayedRoutingKey(10, 'qq')).toBe(`${'0.'.repeat(24)}1.0.1.0.qq`)
    expect(delayedRoutingKey(2 ** 40, 'q')).toBe(`${'1.'.repeat(28)}q`)
  })

  it('has a message pass each level once, and wait at those of its digits', () => {
    const waited = (seconds: number): number => {
      let [exchange, total] = ['celery_delayed_27', 0]
      const words = delayedRoutingKey(seconds, 'q').split('.')
      for (const [index, level] of delayLevels.entries()) {
        expect(exchange).toBe(level.name)
        if (words[index] === '1') total += Number(level.queueArguments['x-message-ttl']) / 1000
        exchange = level.next
      }
      expect(exchange).toBe('celery_delayed_delivery')
      return total
    }
    for (const seconds of [1, 2, 10, 3600, 2 ** 28 - 1]) expect(waited(seconds)).toBe(seconds)
  })

  it('binds a queue for its own name alone, not for one that ends alike', () => {
    const matches = (pattern: string, key: string): boolean =>
      pattern.split('.').length === key.split('.').length &&
      pattern.split('.').every((word, index) => word === '*' || word === key.split('.')[index])
    expect(matches(delayedBindingKey('b'), delayedRoutingKey(5, 'b'))).toBe(true)
    expect(matches(delayedBindingKey('b'), delayedRoutingKey(5, 'a.b'))).toBe(false)
    expect(matches(delayedBindingKey('a.b'), delayedRoutingKey(5, 'a.b'))).toBe(true)
  })
})

describe('addresses of events and control', () => {
  it.each([
    ['celeryev.task.sent', 'celeryev', 'task.sent'],
    ['celery.pidbox', 'celery.pidbox', ''],
    ['reply.celery.pidbox.me', 'reply.celery.pidbox', 'me'],
    ['mine.a', 'lovage.notices', 'mine.a'],
  ])('leads %s to the exchange %s', (address, exchange, routingKey) => {
    expect(noticeRoute(address)).toMatchObject({ exchange, routingKey })
    const listener = noticeListener(address, 'u')
    expect(listener.toAddress(routingKey)).toBe(address)
    expect(listener.options.exclusive).toBe(true)
  })

  it('binds a prefix as far as its words are whole, and looks at the rest itself', () => {
    expect(noticeListener('celeryev.*', 'u').bindingKey).toBe('#')
    expect(noticeListener('a.b.*', 'u').bindingKey).toBe('a.b.#')
    expect(noticeListener('a.bc*', 'u').bindingKey).toBe('a.#')
    expect(matchesPattern('a.bcd', 'a.bc*')).toBe(true)
    expect(matchesPattern('a.bx', 'a.bc*')).toBe(false)
  })

  it('keeps what the broker adds apart from what the sender wrote', () => {
    expect(['x-death', 'x-first-death-queue', 'x-delivery-count', 'x-stream-offset'].every(isBrokerHeader)).toBe(true)
    expect(['x-custom', 'x-deathly', 'id'].some(isBrokerHeader)).toBe(false)
  })
})

describe('a URL', () => {
  it.each([
    [
      'amqp://localhost',
      { vhost: '/', tls: false, hosts: [{ hostname: 'localhost', port: 5672, username: 'guest', password: 'guest' }] },
    ],
    [
      'amqps://a:b%40c@host/',
      { vhost: '/', tls: true, hosts: [{ hostname: 'host', port: 5671, username: 'a', password: 'b@c' }] },
    ],
    ['pyamqp://a:b@host:1/%2F', { vhost: '/' }],
    ['amqp://host//', { vhost: '/' }],
    [
      'amqp://[::1]:7/v%2Fw',
      { vhost: 'v/w', hosts: [{ hostname: '::1', port: 7, username: 'guest', password: 'guest' }] },
    ],
    ['amqp://a/x?queueType=quorum&maxPriority=5;amqp://b', { vhost: 'x', queueType: 'quorum', maxPriority: 5 }],
    ['amqp://a?maxPriority=255', { maxPriority: 255 }],
  ])('%s is read', (url, location) => {
    expect(parseLocation(url)).toMatchObject(location)
  })

  it.each([
    ['amqp://a/x;amqp://b/y', /differ in the virtual host/],
    ['amqp://a;amqp://b/y', /differ in the virtual host/],
    ['amqp://a/x;amqp://b/%2F', /differ in the virtual host/],
    ['amqp://a;amqp://b?heartbeat=5', /differ in the option "heartbeat"/],
    ['amqp://a?heartbeat=6;amqp://b?heartbeat=5', /differ in the option "heartbeat"/],
    ['amqp://u:secret@a;amqp://b?nonsense=1', /^(?!.*secret).*an option "nonsense" that is not known/],
    ['amqp://a?caFile=ca.pem', /option caFile, which is for TLS, and is no amqps:/],
    ['amqp://a?keyFile=key.pem', /option keyFile, which is for TLS/],
    ['amqps://a?keyFile=key.pem', /option keyFile without certFile/],
  ])('%s is refused', (url, message) => {
    expect(() => parseLocation(url)).toThrow(message)
  })

  it('may say in each of several what it says in the first', () => {
    const several = 'amqp://u:p@a/x?queueType=quorum&heartbeat=5;amqp://u:p@b/x?heartbeat=5'
    expect(parseLocation(several)).toMatchObject({ vhost: 'x', queueType: 'quorum', heartbeat: 5 })
  })

  it('has a third of the lease as its heartbeat, unless it says otherwise', () => {
    expect([30_000, 2000, 86_400_000].map(leaseMs => parseLocation('amqp://a', leaseMs).heartbeat)).toEqual([
      10, 1, 600,
    ])
    expect(parseLocation('amqp://a?heartbeat=7', 2000).heartbeat).toBe(7)
  })

  it('tries several hosts in turn', () => {
    expect(parseLocation('amqp://a;amqp://b:1').hosts.map(({ hostname, port }) => `${hostname}:${port}`)).toEqual([
      'a:5672',
      'b:1',
    ])
  })
})

describe('a refusal', () => {
  it('names both sides’ arguments', () => {
    const error = Object.assign(
      new Error(
        `Channel closed by server: 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'celery' in vhost '/': received none but current is the value 'quorum' of type 'longstr'"`,
      ),
      { code: 406 },
    )
    expect(channelFault(error, 'declare')).toMatchObject({
      code: 'E_CONFIG',
      message: expect.stringMatching(
        /queue "celery" is there already, declared otherwise: x-queue-type is 'quorum' there, and not given here/,
      ),
    })
  })
})

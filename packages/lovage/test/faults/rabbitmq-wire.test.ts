// What the driver asks of RabbitMQ, read from the wire, against what RabbitMQ 4.3 refuses by default; and what a wrong
// URL or a queue that is there already is answered with.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { connect } from 'amqplib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { declarationOf, frameFilter, hasExpiration } from '../../../../test-support/amqp-frames.ts'
import type { Declaration } from '../../../../test-support/amqp-frames.ts'
import { freePort } from '../../../../test-support/free-ports.ts'
import { hasRabbit, sharedRabbit, startRabbit } from '../../../../test-support/rabbitmq.ts'
import { TcpProxy } from '../../../../test-support/tcp-proxy.ts'
import { openRabbit } from '../../src/drivers/rabbitmq/rabbitmq.ts'
import { delayLevels } from '../../src/drivers/rabbitmq/names.ts'
import { publication, record } from '../../src/testing/conformance/fixtures.ts'
import { drain, openPeer } from './support/rabbit.ts'
import { until } from './support/until.ts'

/** Of queues that only Lovage has. */
const ownNames = ['control', 'parked', 'notices.', 'inbox.', 'results.', 'answers.'].map(name => `lovage.${name}`)

describe.skipIf(!hasRabbit)('On the wire to RabbitMQ', { timeout: 60_000 }, () => {
  it('asks for nothing that RabbitMQ 4.3 refuses, and never has the broker drop a message', async () => {
    const { declarations, expirationCount } = await recordEverything()
    const queues = declarations.filter(({ what, passive }) => what === 'queue' && !passive)
    // all of what the driver has was seen
    const names = queues.map(({ name }) => name).join(' ')
    for (const name of [
      'queue',
      'celery_delayed_27',
      '.celery.pidbox',
      '.reply.celery.pidbox',
      'celeryev.',
      ...ownNames,
    ])
      expect(names).toContain(name)
    expect(declarations.some(({ what }) => what === 'qos')).toBe(true)
    expect(queues.filter(({ durable, exclusive }) => !durable && !exclusive)).toEqual([])
    expect(declarations.filter(({ global }) => global)).toEqual([])
    // mirrored and lazy queues are policies of the past, and a transient quorum queue or stream never was possible
    const texts = queues.map(queue => queue.arguments.toString('latin1'))
    expect(texts.filter(text => /x-ha-policy|x-queue-mode|x-queue-master-locator/.test(text))).toEqual([])
    expect(expirationCount).toBe(0)
  })

  it('declares task queues and the delay as Celery does', async () => {
    const { declarations } = await recordEverything()
    const [queue] = declarations.filter(({ what, name }) => what === 'queue' && name === 'queue')
    expect(queue).toMatchObject({ durable: true, exclusive: false, autoDelete: false })
    expect(queue?.arguments.readUInt32BE(0)).toBe(0)
    // its exchange has the type that Celery chooses: whoever comes first must not choose for it
    expect(declarations.filter(({ what, name }) => what === 'exchange' && name === 'queue')).toEqual([])
    const levels = declarations.filter(({ what, name }) => what === 'queue' && name.startsWith('celery_delayed_'))
    expect(new Set(levels.map(({ name }) => name))).toEqual(new Set(delayLevels.map(({ name }) => name)))
  })

  it('declares the queues of results as every version and process must', async () => {
    const { declarations } = await recordEverything()
    const declared = (name: string): Partial<Declaration>[] =>
      declarations.filter(each => each.what === 'queue' && !each.passive && each.name.startsWith(name))
    // each argument: the length of its name, the name, its type, its value
    const activeConsumer = table('\x18x-single-active-consumert\x01')
    const stream = table('\x0cx-queue-typeS\0\0\0\x06stream')
    const kept = { durable: true, exclusive: false, autoDelete: false }
    const own = { exclusive: true, autoDelete: true }
    for (const [name, expected] of [
      ['lovage.inbox.lovage', { ...kept, arguments: activeConsumer }],
      ['lovage.results.lovage', { ...kept, arguments: stream }],
      ['lovage.answers.', { ...own, arguments: table('') }],
    ] as const) {
      expect(declared(name)).not.toEqual([])
      for (const each of declared(name)) expect(each).toMatchObject(expected)
    }
  })

  it.each([
    ['a wrong password', (url: string) => url.replace('guest:guest', 'guest:wrong'), /refuses the user "guest"/],
    ['an unknown virtual host', (url: string) => `${url}-nowhere`, /no virtual host ".*-nowhere"/],
    ['a port where nothing listens', (url: string) => url.replace(/:\d+\//, ':1/'), /nothing listens there/],
    ['TLS where there is none', (url: string) => url.replace('amqp:', 'amqps:'), /does not speak TLS/],
    ['an unknown host', (url: string) => url.replace('127.0.0.1', 'nowhere.invalid'), /"nowhere.invalid" is not known/],
  ])('says what to look at: %s', async (_, spoil, message) => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    const connection = openRabbit(spoil(rabbit.url(vhost)))
    const error: unknown = await connection.broker.open().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_BROKER_CONNECTION', message: expect.stringMatching(message) })
    expect(String(error)).not.toContain('wrong')
    await connection.close()
    await rabbit.deleteVhost(vhost)
  })

  describe.skipIf(spawnSync('openssl', ['version']).status !== 0)('with TLS', () => {
    it('trusts no certificate it does not know, nor one for another name', async () => {
      const { cert, key } = makeCertificate()
      const port = await freePort()
      await using _server = await startRabbit({ config: tlsConfig(port, { cert, key }) })
      await using peer = await openPeer(`amqps://localhost:${port}?caFile=${cert}`)
      expect(await peer.broker.publish([publication('task')])).toEqual([{ accepted: 'yes' }])
      await expect(openPeer(`amqps://localhost:${port}`)).rejects.toThrow(/certificate is not trusted.*\?caFile=/)
      await expect(openPeer(`amqps://127.0.0.1:${port}?caFile=${cert}`)).rejects.toThrow(/is not for "127\.0\.0\.1"/)
      await expect(openPeer(`amqp://localhost:${port}`)).rejects.toThrow(/amqps:\/\//)
      await expect(openPeer(`amqps://localhost:${port}?caFile=${cert}.not`)).rejects.toMatchObject({
        code: 'E_CONFIG',
        message: expect.stringMatching(/caFile=.*cert\.pem\.not names a file that cannot be read: ENOENT/),
      })
    })

    it.each([
      ['1.3', /it demands a client certificate.*\?certFile=.*&keyFile=/],
      ['1.2', /most likely it demands a client certificate.*\?certFile=.*&keyFile=/],
    ])('shows its own certificate where one is demanded: TLS %s', async (version, says) => {
      const authority = makeCertificate()
      const mine = makeCertificate(authority)
      const port = await freePort()
      const demand = ['verify = verify_peer', 'fail_if_no_peer_cert = true', `versions.1 = tlsv${version}`]
      await using _server = await startRabbit({ config: tlsConfig(port, authority, demand) })
      const url = `amqps://localhost:${port}?caFile=${authority.cert}`
      await using peer = await openPeer(`${url}&certFile=${mine.cert}&keyFile=${mine.key}`)
      expect(await peer.broker.publish([publication('task')])).toEqual([{ accepted: 'yes' }])
      await expect(openPeer(url)).rejects.toThrow(says)
      const other = makeCertificate()
      const stranger = openPeer(`${url}&certFile=${other.cert}&keyFile=${other.key}`)
      await expect(stranger).rejects.toThrow(/refuses the client certificate in certFile=/)
      await expect(openPeer(`${url}&certFile=${mine.cert}&keyFile=${other.key}`)).rejects.toMatchObject({
        code: 'E_CONFIG',
        message: expect.stringMatching(/keyFile=.* cannot be used: .*mismatch/),
      })
    })
  })

  it.each(['?colour=red', '?queueType=stream', '?maxPriority=256', '?heartbeat=never'])(
    'refuses an option of the URL before it connects: %s',
    query => {
      expect(() => openRabbit(`amqp://localhost${query}`)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
    },
  )

  it('says what to look at when a queue is full, and when it is the private one of another connection', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    await using peer = await openPeer(rabbit.url(vhost))
    const limit = { 'max-length': 1, overflow: 'reject-publish' }
    await rabbit.ctl(['set_policy', '-p', vhost, 'short', '^queue$', JSON.stringify(limit)])
    const outcomes = await peer.broker.publish([publication('first'), publication('second')])
    const says = /"queue": its queue is full, or in trouble\. rabbitmqctl list_queues/
    expect(outcomes).toEqual([
      { accepted: 'yes' },
      { accepted: 'no', error: expect.objectContaining({ message: expect.stringMatching(says) }) },
    ])
    const other = await connect(rabbit.url(vhost))
    await (await other.createChannel()).assertQueue('private', { exclusive: true })
    await expect(peer.broker.declare(['private'])).rejects.toThrow(
      /until that ends \(RESOURCE_LOCKED.*list_connections/,
    )
    await other.close()
    await peer.close()
    await rabbit.deleteVhost(vhost)
  })

  it.each([20, 255])('joins a queue of others with %i priorities, and heeds those above ours', async maxPriority => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    const other = await connect(rabbit.url(vhost))
    const channel = await other.createConfirmChannel()
    // as py-amqp writes it
    await channel.assertQueue('queue', { arguments: { 'x-max-priority': { '!': 'int32', value: maxPriority } } })
    await using peer = await openPeer(`${rabbit.url(vhost)}?maxPriority=${maxPriority}`)
    expect(peer.broker.capabilities.priorities).toBe(maxPriority)
    const outcomes = await peer.broker.publish([publication('low'), publication('high', { priority: 9 })])
    expect(outcomes).toEqual([{ accepted: 'yes' }, { accepted: 'yes' }])
    channel.sendToQueue('queue', Buffer.from('[[],{},{}]'), { headers: { id: 'theirs' }, priority: maxPriority - 1 })
    await channel.waitForConfirms()
    const sink = await drain(peer.broker, { prefetch: 1 })
    await until('all three', () => sink.seen.length === 3)
    expect([...sink.ids]).toEqual(['theirs', 'high', 'low'])
    expect(sink.seen[0]?.message.properties.priority).toBe(maxPriority - 1)
    await other.close()
    await peer.close()
    await rabbit.deleteVhost(vhost)
  })

  it('explains a queue that is there already with other arguments, both sides of it, and sends nothing', async () => {
    const rabbit = await sharedRabbit()
    const vhost = await rabbit.addVhost()
    await using plain = await openPeer(rabbit.url(vhost))
    await plain.broker.declare(['queue'])
    await using other = await openPeer(`${rabbit.url(vhost)}?maxPriority=9`)
    const says = /queue "queue" is there already, declared otherwise: x-max-priority is not given there, and '9' here/
    await expect(other.broker.declare(['queue'])).rejects.toMatchObject({
      code: 'E_CONFIG',
      message: expect.stringMatching(says),
    })
    const [outcome] = await other.broker.publish([publication('task')])
    expect(outcome).toMatchObject({ accepted: 'no', error: { message: expect.stringMatching(says) } })
    await expect(drain(other.broker)).rejects.toMatchObject({ message: expect.stringMatching(says) })
    expect(await plain.broker.stats('queue')).toMatchObject({ ready: 0 })
    await plain.close()
    await other.close()
    await rabbit.deleteVhost(vhost)
  })
})

interface Certificate {
  readonly cert: string
  readonly key: string
}

/** Files of a certificate for localhost and its key. Gone after the test. @param authority signs it. @default itself */
function makeCertificate(authority?: Certificate): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'lovage-tls-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const self = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${basename(folder)}`]
  const signer = authority === undefined ? [] : ['-CA', authority.cert, '-CAkey', authority.key]
  const args = [...self, '-addext', 'subjectAltName=DNS:localhost', ...signer, '-keyout', key, '-out', cert]
  execFileSync('openssl', args, { stdio: 'pipe' })
  return { cert, key }
}

/** Lines of rabbitmq.conf: a TLS port with this certificate, which is its authority, too. @param more of ssl_options */
function tlsConfig(port: number, { cert, key }: Certificate, more: readonly string[] = []): readonly string[] {
  const options = [`cacertfile = ${cert}`, `certfile = ${cert}`, `keyfile = ${key}`, ...more]
  return [`listeners.ssl.default = 127.0.0.1:${port}`, ...options.map(line => `ssl_options.${line}`)]
}

/** A table of arguments on the wire. */
function table(fields: string): Buffer {
  const bytes = Buffer.from(`\0\0\0\0${fields}`, 'latin1')
  bytes.writeUInt32BE(fields.length)
  return bytes
}

/** Runs all that the driver can do behind a proxy that writes down what it declares. */
async function recordEverything(): Promise<{ readonly declarations: Declaration[]; readonly expirationCount: number }> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost()
  const declarations: Declaration[] = []
  let expirationCount = 0
  const createFilter = frameFilter((frame, direction) => {
    const declaration = direction === 'to-server' ? declarationOf(frame) : undefined
    if (declaration !== undefined) declarations.push(declaration)
    if (direction === 'to-server' && hasExpiration(frame)) expirationCount++
    return true
  })
  await using proxy = await new TcpProxy(rabbit.address.port, { createFilter }).listen()
  await useEverything(`amqp://127.0.0.1:${proxy.port}/${vhost}`)
  await rabbit.deleteVhost(vhost)
  return { declarations, expirationCount }
}

async function useEverything(url: string): Promise<void> {
  const connection = openRabbit(url)
  const { broker, coordination, results } = connection
  await broker.open()
  await coordination.open()
  await results.open()
  await results.put(record('task', 'STARTED'))
  await coordination.lease('leader', 'me', 1000)
  const sink = await drain(broker, { hold: true })
  for (const address of ['celeryev.*', 'celery.pidbox', 'reply.celery.pidbox.me', 'other'])
    await broker.listen(address, () => undefined)
  const { message } = publication('notice')
  for (const address of ['celeryev.task.sent', 'celery.pidbox', 'reply.celery.pidbox.me', 'other'])
    await broker.send(address, message)
  await broker.publish([publication('now'), publication('later', { notBefore: Date.now() + 3_600_000 })])
  const [delivery] = [await until('the delivery', () => sink.seen[0])]
  sink.subscription.setPrefetch(7)
  await broker.settle({ delivery, disposition: { kind: 'requeue', delayMs: 3_600_000 } })
  await broker.park(publication('odd'), 'for the test')
  await broker.parked()
  await broker.reply?.({ address: 'nobody', message })
  await connection.close()
}

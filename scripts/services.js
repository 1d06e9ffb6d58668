// `npm run services`: RabbitMQ and Redis for development, on loopback. Uses what answers already at the configured
// URL; else Debian's packages (installed when root), with the data in .lovage/services; else docker compose. A RabbitMQ
// that it starts has the policies of scripts/rabbitmq/definitions.json, as that of compose.yaml has.
// `npm run services:stop` stops what this started. Both may be run again at any time.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { findRabbitServer, RabbitControl, startRabbit } from '../test-support/rabbitmq-server.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = join(root, '.lovage/services')
const configured = [process.env.LOVAGE_BROKER_URL, process.env.LOVAGE_RESULT_BACKEND, process.env.CELERY_BROKER_URL]

const rabbitmq = {
  name: 'rabbitmq',
  program: 'rabbitmq-server',
  protocol: 'AMQP',
  url: configuredUrl(/^(amqps?|pyamqp):/) ?? 'amqp://guest:guest@localhost:5672',
  elsewhere: 'LOVAGE_BROKER_URL=amqp://guest:guest@localhost:5673',
  // the header of AMQP 0-9-1; whoever speaks it sends the frame of a method, or the header it wants instead
  hello: 'AMQP\0\0\x09\x01',
  isAnswer: answer => answer.startsWith('\x01\0\0') || answer.startsWith('AMQP'),
  find: findRabbitServer,
  start: startOwnRabbit,
  stop: stopOwnRabbit,
}

const redis = {
  name: 'redis',
  program: 'redis-server',
  protocol: "Redis's protocol",
  url: configuredUrl(/^rediss?:/) ?? 'redis://localhost:6379/0',
  elsewhere: 'LOVAGE_RESULT_BACKEND=redis://localhost:6380/0',
  hello: 'PING\r\n',
  // one with a password, or that reads its data still, is Redis too
  isAnswer: answer => /^(\+PONG|-NOAUTH|-DENIED|-LOADING)/.test(answer),
  find: () => onPath('redis-server'),
  start: startOwnRedis,
  stop: stopOwnRedis,
}

const services = [rabbitmq, redis]

await (process.argv.includes('--stop') ? stopAll() : startAll()).catch(error => {
  console.error(error.message)
  process.exitCode = 1
})

/** @throws {Error} something else has the port of a service. */
async function startAll() {
  const missing = []
  for (const service of services) {
    const answer = await ask(service.url, service.hello)
    if (answer !== undefined && !service.isAnswer(answer)) throw new Error(strangerAt(service, answer))
    const url = answer === undefined ? await startOwn(service) : service.url
    if (url === undefined) missing.push(service)
    else console.log(`${service.name}: ${url}`)
  }
  if (missing.length > 0) startContainers(missing)
}

function strangerAt({ name, protocol, url, elsewhere }, answer) {
  const { host, port } = placeOf(url)
  const said = answer === '' ? 'it does not answer' : `it answers ${JSON.stringify(answer.slice(0, 40))}`
  return (
    `${name}: what listens on ${host}:${port} does not speak ${protocol} (${said}). ` +
    `Stop it, or name another place: ${elsewhere} npm run services`
  )
}

async function startOwn(service) {
  const known = state(service.name)
  if (known?.url !== undefined && (await listens(service, known.url))) return known.url
  if (service.find() === undefined) install(service.program)
  if (service.find() === undefined) return undefined
  mkdirSync(join(folder, service.name), { recursive: true })
  const started = await service.start(join(folder, service.name))
  writeFileSync(stateFile(service.name), JSON.stringify(started))
  return started.url
}

async function stopAll() {
  for (const service of services) {
    const known = state(service.name)
    if (known === undefined) continue
    if (known.url === undefined) docker(['compose', 'stop', service.name])
    else if (await listens(service, known.url)) await service.stop(known)
    rmSync(stateFile(service.name))
    console.log(`${service.name}: stopped`)
  }
}

/** Debian's packages, where it can be done without asking for a password. */
function install(program) {
  if (process.getuid?.() !== 0 || onPath('apt-get') === undefined) return
  spawnSync(process.execPath, [join(root, 'scripts/servers.js'), program], {
    stdio: 'inherit',
    env: { ...process.env, CI: 'true' },
  })
}

async function startOwnRabbit(dir) {
  const port = state('rabbitmq.port')?.port ?? (await freePort())
  const config = [`load_definitions = ${join(root, 'scripts/rabbitmq/definitions.json')}`]
  const server = await startRabbit({ dir, port, config, detached: true })
  writeFileSync(stateFile('rabbitmq.port'), JSON.stringify({ port: server.address.port }))
  return { url: server.url(), address: server.address }
}

async function stopOwnRabbit({ address }) {
  const control = new RabbitControl(address)
  const pid = (await control.eval('os:getpid()')).replaceAll('"', '')
  await control.eval('init:stop()')
  while (isAlive(pid)) await delay(50)
  spawnSync('epmd', ['-port', String(address.epmdPort), '-kill'])
}

function isAlive(pid) {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', pid], { encoding: 'utf8' })
  return stdout.trim() !== '' && !stdout.startsWith('Z')
}

async function startOwnRedis(dir) {
  const port = state('redis.port')?.port ?? (await freePort())
  writeFileSync(stateFile('redis.port'), JSON.stringify({ port }))
  const out = openSync(join(dir, 'out.log'), 'a')
  const args = ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--appendonly', 'yes', '--appendfsync', 'always']
  spawn('redis-server', args.map(String), { detached: true, stdio: ['ignore', out, out] }).unref()
  const url = `redis://127.0.0.1:${port}/0`
  const deadline = Date.now() + 20_000
  while (!(await listens(redis, url))) {
    if (Date.now() > deadline) throw new Error(`Redis did not start: ${join(dir, 'out.log')} says why.`)
    await delay(50)
  }
  return { url }
}

async function stopOwnRedis({ url }) {
  spawnSync('redis-cli', ['-p', new URL(url).port, 'shutdown'])
  while (await listens(redis, url)) await delay(50)
}

function startContainers(missing) {
  const names = missing.map(service => service.name)
  if (!docker(['compose', 'up', '--detach', '--wait', ...names])) {
    const programs = missing.map(service => service.program).join(' ')
    console.error(
      `Missing: ${names.join(', ')}. On Debian or Ubuntu: sudo apt-get install ${programs}; or start Docker.`,
    )
    process.exitCode = 1
    return
  }
  mkdirSync(folder, { recursive: true })
  for (const { name, url } of missing) {
    writeFileSync(stateFile(name), '{}')
    console.log(`${name}: ${url}`)
  }
}

function docker(args) {
  return spawnSync('docker', args, { cwd: root, stdio: 'inherit' }).status === 0
}

function configuredUrl(scheme) {
  return configured.find(url => url !== undefined && scheme.test(url))
}

function stateFile(name) {
  return join(folder, `${name}.json`)
}

function state(name) {
  return existsSync(stateFile(name)) ? JSON.parse(readFileSync(stateFile(name), 'utf8')) : undefined
}

function onPath(program) {
  const found = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() : undefined
}

/** A port that is open is not enough: it may be another program's. */
async function listens(service, url) {
  const answer = await ask(url, service.hello)
  return answer !== undefined && service.isAnswer(answer)
}

/** What is answered there to `hello` within 3 s: '' is nothing at all; undefined: nobody listens. */
function ask(url, hello) {
  const { host, port, isTls } = placeOf(url)
  // who it is matters here, not whether it may be trusted
  const socket = isTls ? connectTls({ host, port, rejectUnauthorized: false }) : connect(port, host)
  return new Promise(resolve => {
    let silence
    socket.setTimeout(3000, () => end(silence)).once('connect', () => (silence = ''))
    socket.once('data', data => end(data.toString('latin1')))
    socket.once('error', () => end(silence)).once('close', () => end(silence))
    socket.write(hello)
    function end(answer) {
      socket.destroy()
      resolve(answer)
    }
  })
}

function placeOf(url) {
  const { protocol, hostname, port } = new URL(url)
  const isTls = protocol === 'amqps:' || protocol === 'rediss:'
  const usual = protocol.startsWith('redis') ? 6379 : isTls ? 5671 : 5672
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || usual), isTls }
}

async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

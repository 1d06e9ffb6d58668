/** `lovage dead`: messages that no worker could run, kept for a look; to be sent again or dropped. */
import type { Command } from 'commander'
import type { Backend } from '../backend.ts'
import type { ParkedMessage, Publication } from '../broker.ts'
import { coerceError, InvalidArgumentError, LovageError, PublishError } from '../core/errors.ts'
import { uuidv7 } from '../core/id.ts'
import { printable, printableLine } from '../core/printable.ts'
import { nearest } from '../core/suggest.ts'
import { bodyBytes } from '../core/wire.ts'
import { decodeTaskBody, decodeTaskHeaders, encodeTask, type TaskMessage } from '../protocol/task-message.ts'
import { act, examples, withSession, type Invocation } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { showJson } from './format-snapshot.ts'
import { count } from './option-values.ts'
import { headed } from './status-command.ts'
import { table, type Terminal } from './terminal.ts'

interface Options {
  readonly queue?: string
  readonly limit?: number
  readonly json?: boolean
  readonly all?: boolean
}

export function addDeadCommand(program: Command): void {
  const dead = program.command('dead').description('Dead letters: messages that no worker could run')
  examples(dead, [
    ['lovage dead list', 'what is there, and why'],
    ['lovage dead replay 01a2…', 'send it again, as a new task'],
    ['lovage dead drop --all --queue slow', 'forget those of one queue'],
  ])
  const list = dead.command('list').description('List them, newest first').option('-q, --queue <name>', 'of this queue')
  act<Options>(
    list.option('--limit <n>', 'so many at most', count, 50).option('--json', 'one JSON object per line'),
    runList,
  )
  const show = dead
    .command('show')
    .description('Show one: reason, headers, body')
    .argument('<id>', 'its id, or its task')
  act<Options>(show.option('--json', 'as JSON'), runShow)
  addMany(dead.command('replay').description('Send again, as new tasks with new ids'), runReplay)
  addMany(dead.command('drop').description('Forget for good'), runDrop)
}

function addMany(command: Command, run: (invocation: Invocation<Options>) => Promise<number>): void {
  command
    .argument('[ids...]', 'their ids, or their tasks')
    .option('--all', 'all of them')
    .option('-q, --queue <name>', 'with --all: those of this queue')
    .option('--json', 'as JSON')
  act<Options>(command, run)
}

async function runList({ options, terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ internals }) => {
    const backend = await internals.backend()
    const { items } = await backend.broker.parked({ queue: options.queue, limit: options.limit })
    if (options.json === true) for (const item of items) terminal.out(showJson(describeParked(item)))
    else if (items.length === 0) terminal.err('No dead letters.')
    else for (const line of parkedTable(items, terminal)) terminal.out(line)
    return exitCodes.ok
  })
}

function parkedTable(items: readonly ParkedMessage[], { paint }: Terminal): string[] {
  const rows = items.map(item => [
    printableLine(item.parkedId),
    printableLine(item.id),
    printableLine(readHeaders(item)?.task ?? '?', 40),
    printableLine(item.queue, 20),
    new Date(item.parkedAt).toISOString(),
    printableLine(item.reason),
  ])
  return table([['ID', 'TASK ID', 'TASK', 'QUEUE', 'SINCE', 'REASON'], ...rows], headed(paint))
}

/** Undefined: the headers are no task's; that may be why it is here. */
function readHeaders({ message }: ParkedMessage): TaskMessage | undefined {
  try {
    return decodeTaskHeaders(message)
  } catch (error) {
    if (error instanceof LovageError) return undefined
    throw error
  }
}

function describeParked(item: ParkedMessage): object {
  const { parkedId, id, queue, reason, parkedAt, message } = item
  const body = Buffer.from(bodyBytes(message.body)).toString('utf8')
  return {
    parkedId,
    id,
    task: readHeaders(item)?.task,
    queue,
    reason,
    parkedAt: new Date(parkedAt).toISOString(),
    headers: message.headers,
    contentType: message.properties.contentType,
    body,
  }
}

async function runShow({ options, args, terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ internals }) => {
    const item = await find(await internals.backend(), args[0] ?? '')
    if (options.json === true) terminal.out(showJson(describeParked(item)))
    else terminal.out(printable(JSON.stringify(describeParked(item), null, 2)))
    return exitCodes.ok
  })
}

async function runReplay({ options, args, terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ internals }) => {
    const backend = await internals.backend()
    const items = await chosen(backend, options, args)
    for (const item of items) {
      const id = await replay(backend, item, internals.clock.now())
      const { parkedId, id: replayOf } = item
      terminal.out(
        options.json === true
          ? showJson({ parkedId, replayOf, id })
          : `${printableLine(replayOf)} is sent again as ${id}`,
      )
    }
    if (items.length === 0) terminal.err('No dead letters.')
    return exitCodes.ok
  })
}

/**
 * Published before it is taken out: a crash in between leaves it among the dead letters, it does not lose it.
 * The first final state is for ever, so a replay is a new task that names the old one.
 */
async function replay(backend: Backend, item: ParkedMessage, now: number): Promise<string> {
  const publication = toReplay(item, now)
  const [outcome] = await backend.publish([publication])
  if (outcome !== undefined && outcome.accepted !== 'yes') {
    throw new PublishError(`${item.id} was not sent again: ${outcome.error.message}. It is still a dead letter`, {
      accepted: outcome.accepted,
      cause: outcome.error,
    })
  }
  await backend.broker.takeParked(item.parkedId)
  return publication.id
}

function toReplay(item: ParkedMessage, now: number): Publication {
  const { message: old, body } = decodeWhole(item)
  const id = uuidv7(now)
  const replayOf = old.id
  const message: TaskMessage = {
    ...old,
    id,
    replayOf,
    retries: 0,
    etaAt: undefined,
    // it has expired, most likely: whoever sends it again wants it run
    expiresAt: undefined,
    rootId: id,
    parentId: undefined,
    correlationId: id,
    queuedAt: now,
  }
  const { task: name, owner, tags, replyTo } = message
  return {
    id,
    queue: item.queue,
    message: encodeTask(message, body),
    priority: old.priority,
    record: {
      id,
      state: 'PENDING',
      retries: 0,
      delivery: 0,
      seq: 0,
      at: now,
      facts: { name, queue: item.queue, queuedAt: now, owner, tags, rootId: id, replayOf, replyTo },
    },
  }
}

function decodeWhole(item: ParkedMessage): {
  readonly message: TaskMessage
  readonly body: ReturnType<typeof decodeTaskBody>
} {
  try {
    return { message: decodeTaskHeaders(item.message), body: decodeTaskBody(item.message) }
  } catch (cause) {
    throw new InvalidArgumentError(
      `${item.parkedId} cannot be sent again, it is no task that can be read: ${coerceError(cause).message} Look at it: lovage dead show ${item.parkedId}`,
      { cause, details: { parkedId: item.parkedId } },
    )
  }
}

async function runDrop({ options, args, terminal }: Invocation<Options>): Promise<number> {
  return await withSession(options, { appFile: false }, async ({ internals }) => {
    const backend = await internals.backend()
    const items = await chosen(backend, options, args)
    for (const { parkedId } of items) await backend.broker.takeParked(parkedId)
    terminal.out(options.json === true ? showJson({ dropped: items.length }) : `Dropped ${items.length}`)
    return exitCodes.ok
  })
}

/** Those named, or with `--all` all. @throws {InvalidArgumentError} neither, or one is not there. */
async function chosen(backend: Backend, options: Options, ids: readonly string[]): Promise<readonly ParkedMessage[]> {
  if (options.all === true) return await allParked(backend, options.queue)
  if (ids.length === 0)
    throw new InvalidArgumentError('Which dead letters? Give their ids (lovage dead list shows them), or --all')
  return await Promise.all(ids.map(id => find(backend, id)))
}

async function find(backend: Backend, id: string): Promise<ParkedMessage> {
  const all = await allParked(backend, undefined)
  const found = all.find(({ parkedId }) => parkedId === id) ?? all.find(item => item.id === id)
  if (found !== undefined) return found
  const near = nearest(
    id,
    all.map(({ parkedId }) => parkedId),
  )
  throw new InvalidArgumentError(
    `There is no dead letter ${id}. ${near === undefined ? 'lovage dead list shows them' : `Did you mean ${near}?`}`,
  )
}

async function allParked({ broker }: Backend, queue: string | undefined): Promise<readonly ParkedMessage[]> {
  const items: ParkedMessage[] = []
  let cursor: string | undefined
  do {
    const page = await broker.parked({ queue, cursor, limit: 500 })
    items.push(...page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  return items
}

/** What a message may be made of, and what becomes of one that no worker can run. */
import { deflateSync, zstdCompressSync } from 'node:zlib'
import { isLong } from '../../faults/support/until.ts'
import { failure } from './failure.ts'
import { fromPython, fromTypeScript, type Cell, type Stage } from './stage.ts'

interface Refusal {
  readonly python: string
  /** @default Python's */
  readonly typescript?: string
  readonly message: string
}

/** What the worker cannot read: what each is told who asks, that it is kept with the reason, and that it goes on. */
function refused(what: string, code: string, { python: type, typescript = type, message }: Refusal): Cell {
  const run = async ({ python, app, worker }: Stage): Promise<unknown> => {
    const [id, ...there] = (await python.run(`r = ${code}; [r.id, *failure(r)[:2]]`)) as string[]
    const here = (await failure(app.result(String(id)))) as unknown[]
    const line = JSON.parse(await worker.line(new RegExp(`\\[${id}\\] parked: `))) as { readonly message: string }
    const isTold = line.message.includes(`parked: it cannot be read: ${message}`)
    return { there, here: here.slice(0, 2), isTold, next: await python.run(`get(send('ts.echo', 'the next'))`) }
  }
  const sees = { there: [type, message], here: [typescript, message], isTold: true, next: 'the next' }
  return { what: `${what} is refused`, direction: 'Python → TypeScript', run, sees }
}

const onlyJson =
  "is refused: only application/json is taken. Where the message comes from, set Celery's task_serializer = 'json' " +
  "and result_serializer = 'json', and accept_content = ['json']."

const zstdBody = zstdCompressSync('[["zstd"], {}, {}]').toString('hex')
const bomb = deflateSync(Buffer.alloc(30 * 1024 * 1024, ' '))
/** The JSON around the text of a body that has one. */
const aroundText = '[[""], {}, {}]'.length

const wire: readonly Cell[] = [
  fromPython('protocol 1', `get(protocol_1('ts.add', 2, 3))`, 5),
  fromPython('compressed by zlib', `get(send('ts.echo', 'x' * 2000, compression='gzip')) == 'x' * 2000`, true),
  fromPython('compressed by zstd', `get(send_zstd(bytes.fromhex('${zstdBody}')))`, 'zstd', {
    sees: 'zstd',
    because: 'compressed by hand: Debian has the module for zstd in another package',
  }),
  fromPython(
    'a body of 16 MiB',
    `get(publish('[["' + 'x' * (2**24 - ${aroundText}) + '"], {}, {}]', {'task': 'ts.length'}))`,
    2 ** 24 - aroundText,
  ),
  refused(
    'a deflate bomb',
    `publish(bytes.fromhex('${bomb.toString('hex')}'), {'compression': 'application/x-gzip'})`,
    {
      python: 'DecodeError',
      message:
        `The body has more than 1048576 bytes, from ${bomb.length} compressed ones; beyond 1048576 bytes 10 times is the limit. ` +
        'Send it uncompressed, or a reference to the data.',
    },
  ),
  refused('a body of more than 16 MiB', `publish('[["' + 'x' * 2**24 + '"], {}, {}]', {'task': 'ts.length'})`, {
    python: 'DecodeError',
    message: 'The body has 16777230 bytes; the limit is 16777216. Send a reference to the data instead of the data.',
  }),
  refused('compressed by bzip2', `send('ts.echo', 1, compression='bzip2')`, {
    python: 'DecodeError',
    message:
      'The compression "application/x-bz2" is not known here: gzip and zstd are. ' +
      "Where the message comes from, set Celery's task_compression = 'gzip', or none.",
  }),
  refused('pickle', `send('ts.echo', 1, serializer='pickle')`, {
    python: 'ContentDisallowed',
    typescript: 'ContentDisallowedError',
    message: `A body of the content type "application/x-python-serialize" (pickle, and decoding pickle can run any code) ${onlyJson}`,
  }),
  refused('YAML', `publish('- [1]', {}, content_type='application/x-yaml')`, {
    python: 'ContentDisallowed',
    typescript: 'ContentDisallowedError',
    message: `A body of the content type "application/x-yaml" (YAML) ${onlyJson}`,
  }),
  fromPython('broken JSON', `failure(publish('[[1], {', {}))[0]`, 'DecodeError'),
  fromPython(
    'unknown headers are ignored',
    `get(send('ts.echo', 1, headers={'x-unknown': 'y', 'trace': {'a': [1]}}))`,
    1,
  ),
]

/** Stands for the other 40 s of its give-backs, which a long run waits for. */
const givenBackThrice = `publish('[[], {}, {}]', {'task': 'ts.nobody', 'lovage_unknown': 3})`

const names: readonly Cell[] = [
  {
    what: 'a name nobody knows',
    direction: 'Python → TypeScript',
    run: async ({ python, app, worker }) => {
      const said = (id: string, what: string): Promise<string> => worker.line(new RegExp(`\\[${id}\\] ${what}`))
      const id = String(await python.run(`nobody = fresh().send_task('ts.nobody'); nobody.id`))
      await said(id, 'given back for 1s')
      const meanwhile = await python.run(`nobody._get_task_meta()['status']`)
      await said(id, 'given back for 10s')
      const last = isLong ? id : String(await python.run(`nobody = ${givenBackThrice}; nobody.id`))
      await said(last, 'parked: no worker on this queue knows the task ts.nobody')
      return [meanwhile, await python.run(`failure(nobody)`), await failure(app.result(last))]
    },
    sees: ['PENDING', ['NotRegistered', "'ts.nobody'", ''], ['NotRegistered', 'ts.nobody', []]],
  },
  fromTypeScript('a name nobody knows', async app => failure(await app.sendTask('py.nobody')), [
    'NotRegistered',
    'py.nobody',
    [],
  ]),
]

export const wireCells: readonly Cell[] = [...names, ...wire]

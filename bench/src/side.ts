/** One side of one row, in a process of its own, so that no side inherits another's heap, caches or open files. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { PeerName, Setup } from './peers/peer.ts'
import { loadPeer } from './peers/load.ts'
import { rows } from './rows/all.ts'
import { brokerOf, type Figures, type Prepared } from './rows/row.ts'
import type { Settings } from './settings.ts'

export interface Request {
  readonly row: string
  readonly peer: PeerName
  readonly settings: Settings
  readonly setup: Setup
  readonly prepared: Prepared | undefined
}

type Phase = 'prepare' | 'measure'
type Reply = { readonly value: unknown } | { readonly error: string }

export const prepareSide = (request: Request): Promise<Prepared | undefined> =>
  inChild('prepare', request) as Promise<Prepared | undefined>

export const measureSide = (request: Request): Promise<Figures> => inChild('measure', request) as Promise<Figures>

/** @throws {Error} what the side failed with. */
function inChild(phase: Phase, request: Request): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    })
    child.once('message', reply => {
      const { value, error } = reply as { value?: unknown; error?: string }
      if (error === undefined) resolve(value)
      else reject(new Error(error))
    })
    child.once('exit', code => reject(new Error(`the side ended with ${String(code)} and said nothing`)))
    child.send({ phase, request })
  })
}

if (import.meta.main) {
  process.once('message', message => {
    const { phase, request } = message as { phase: Phase; request: Request }
    void answer(phase, request).then(reply => process.send?.(reply, () => process.exit(0)))
  })
}

async function answer(phase: Phase, request: Request): Promise<Reply> {
  try {
    const row = rows.find(({ name }) => name === request.row)
    if (!row) throw new Error(`no row named ${request.row}`)
    const side = { ...request, peer: await loadPeer(request.peer, brokerOf(row)) }
    return { value: phase === 'prepare' ? await row.prepare?.(side) : await row.measure(side) }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

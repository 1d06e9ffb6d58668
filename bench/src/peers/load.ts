import type { BrokerName, Peer, PeerName } from './peer.ts'

/** Loaded when asked for: a side that cannot be loaded stops only itself. */
export async function loadPeer(name: PeerName, broker: BrokerName): Promise<Peer> {
  const peer = broker === 'sqlite' ? await loadOnSqlite(name) : await loadOnRabbit(name)
  if (peer === undefined) throw new RangeError(`there is no ${name} on ${broker}`)
  return peer
}

async function loadOnSqlite(name: PeerName): Promise<Peer | undefined> {
  switch (name) {
    case 'lovage':
      return (await import('./lovage.ts')).lovage
    case 'hand-written':
      return (await import('./hand-written.ts')).handWritten
    case 'plainjob':
      return (await import('./plainjob.ts')).plainjob
    case 'celery':
    case 'celery-best':
    case 'celery-node':
      return undefined
  }
}

async function loadOnRabbit(name: PeerName): Promise<Peer | undefined> {
  switch (name) {
    case 'lovage':
      return (await import('./lovage.ts')).lovageOnRabbit
    case 'hand-written':
      return (await import('./rabbitmq/hand-written.ts')).handWrittenOnRabbit
    case 'celery':
      return (await import('./rabbitmq/celery.ts')).celery
    case 'celery-best':
      return (await import('./rabbitmq/celery.ts')).celeryBest
    case 'celery-node':
      return (await import('./rabbitmq/celery-node.ts')).celeryNode
    case 'plainjob':
      return undefined
  }
}

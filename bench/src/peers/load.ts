import type { Peer, PeerName } from './peer.ts'

/** Loaded when asked for: a side that cannot be loaded stops only itself. */
export async function loadPeer(name: PeerName): Promise<Peer> {
  switch (name) {
    case 'lovage':
      return (await import('./lovage.ts')).lovage
    case 'hand-written':
      return (await import('./hand-written.ts')).handWritten
    case 'plainjob':
      return (await import('./plainjob.ts')).plainjob
  }
}

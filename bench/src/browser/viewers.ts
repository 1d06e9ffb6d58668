/**
 * Some thousands of viewers as bare sockets: each opens the stream of one task as a browser does and looks at the times
 * in what arrives. Says how many are connected, then, when asked to measure for so long, how late everything came.
 */
import { connect, type Socket } from 'node:net'

export interface ViewersWanted {
  readonly port: number
  /** One for each. */
  readonly handles: readonly string[]
}

/** Connections that are being opened at once. */
const atOnce = 50
let delays: number[] | undefined
const sockets: Socket[] = []

process.on('message', message => {
  if (typeof message === 'object') void connectAll(message as ViewersWanted)
  else measure(Number(message))
})
process.on('disconnect', () => process.exit())

async function connectAll({ port, handles }: ViewersWanted): Promise<void> {
  let next = 0
  const opener = async (): Promise<void> => {
    while (next < handles.length) await open(port, handles[next++] ?? '')
  }
  await Promise.all(Array.from({ length: atOnce }, opener))
  process.send?.({ connected: sockets.length })
}

/** Resolves when the first snapshot is here. */
function open(port: number, handle: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const body = JSON.stringify({ handles: [handle] })
    socket
      .setEncoding('latin1')
      .write(
        `POST /tasks/stream HTTP/1.1\r\nHost: 127.0.0.1:${String(port)}\r\nContent-Type: application/json\r\n` +
          `Accept: text/event-stream\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`,
      )
    socket.on('data', (text: string) => {
      if (text.includes('event: snapshot')) resolve()
      look(text)
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The server closed a stream')))
    sockets.push(socket)
  })
}

function look(text: string): void {
  if (delays === undefined) return
  const now = Date.now()
  for (const [, at] of text.matchAll(/"sent (\d+)"/g)) delays.push(now - Number(at))
}

function measure(ms: number): void {
  delays = []
  setTimeout(() => process.send?.({ delays }), ms)
}

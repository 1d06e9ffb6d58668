/** All that is written to a socket in one turn leaves as one buffer: the client writes each frame by itself. */
import type { Socket } from 'node:net'
import { endOfTurn } from '../../core/clock.ts'

/** Not worth a copy. */
const largeBytes = 64 * 1024

/**
 * Replaces the socket's `write`, for buffers and without a callback, and its `end`. What `write` answers and `drain` mean
 * what they mean at a socket.
 */
export function coalesceWrites(socket: Socket): void {
  const write = socket.write.bind(socket) as (chunk: Buffer) => boolean
  const end = socket.end.bind(socket) as (...args: unknown[]) => Socket
  let waiting: Buffer[] = []
  let waitingBytes = 0
  /** Somebody was told to wait for `drain`, and the socket does not know. */
  let isFull = false
  const flush = (): void => {
    const [only] = waiting
    if (only === undefined) return
    const all = waiting.length === 1 ? only : Buffer.concat(waiting, waitingBytes)
    waiting = []
    waitingBytes = 0
    write(all)
  }
  const endTurn = (): void => {
    flush()
    const wasFull = isFull
    isFull = false
    if (wasFull && !socket.writableNeedDrain && socket.writable) socket.emit('drain')
  }
  socket.write = (chunk: Buffer): boolean => {
    if (chunk.length >= largeBytes) {
      flush()
      return write(chunk)
    }
    if (waiting.length === 0) endOfTurn(endTurn)
    waiting.push(chunk)
    waitingBytes += chunk.length
    isFull ||= waitingBytes + socket.writableLength >= socket.writableHighWaterMark
    return !isFull
  }
  socket.end = (...args: unknown[]): Socket => {
    flush()
    return end(...args)
  }
}

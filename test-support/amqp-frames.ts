/** AMQP 0-9-1 frames as far as tests look at them. */
import type { Direction, Filter } from './tcp-proxy.ts'

export interface Frame {
  /** 1 method, 2 header, 3 body, 8 heartbeat */
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
  readonly bytes: Buffer
}

/** Splits a byte stream into frames; what is not whole yet is kept. */
class FrameReader {
  #rest: Buffer = Buffer.alloc(0)
  #isFirst = true

  read(chunk: Buffer): { readonly frames: readonly Frame[]; readonly before: Buffer } {
    let bytes = Buffer.concat([this.#rest, chunk])
    let before = Buffer.alloc(0)
    if (this.#isFirst && bytes.subarray(0, 4).toString() === 'AMQP') {
      before = Buffer.from(bytes.subarray(0, 8))
      bytes = bytes.subarray(8)
    }
    this.#isFirst = false
    const frames: Frame[] = []
    while (bytes.length >= 7) {
      const size = bytes.readUInt32BE(3) + 8
      if (bytes.length < size) break
      const frame = bytes.subarray(0, size)
      frames.push({
        type: bytes.readUInt8(0),
        channel: bytes.readUInt16BE(1),
        payload: frame.subarray(7, -1),
        bytes: frame,
      })
      bytes = bytes.subarray(size)
    }
    this.#rest = bytes
    return { frames, before }
  }
}

/** A proxy's filter that sees whole frames and says of each whether it passes. */
export function frameFilter(passes: (frame: Frame, direction: Direction) => boolean): () => Filter {
  return () => {
    const readers = { 'to-server': new FrameReader(), 'to-client': new FrameReader() }
    return (chunk, direction) => {
      const { frames, before } = readers[direction].read(chunk)
      return Buffer.concat([before, ...frames.filter(frame => passes(frame, direction)).map(({ bytes }) => bytes)])
    }
  }
}

export interface Declaration {
  readonly what: 'queue' | 'exchange' | 'qos'
  readonly name: string
  readonly passive: boolean
  readonly durable: boolean
  readonly exclusive: boolean
  readonly autoDelete: boolean
  /** Of a qos. */
  readonly global: boolean
  readonly type: string
  /** The table of arguments, unread. */
  readonly arguments: Buffer
}

/** What a method frame declares; undefined: it declares nothing. */
export function declarationOf({ type, payload }: Frame): Declaration | undefined {
  if (type !== 1) return undefined
  const [classId, methodId] = [payload.readUInt16BE(0), payload.readUInt16BE(2)]
  const none = { passive: false, durable: false, exclusive: false, autoDelete: false, global: false, type: '' }
  if (classId === 60 && methodId === 10) {
    const global = (payload.readUInt8(10) & 1) === 1
    return { ...none, what: 'qos', name: '', global, arguments: Buffer.alloc(0) }
  }
  if (methodId !== 10 || (classId !== 40 && classId !== 50)) return undefined
  const [name, afterName] = shortString(payload, 6)
  const [kind, afterType] = classId === 40 ? shortString(payload, afterName) : ['', afterName]
  const bits = payload.readUInt8(afterType)
  const flags = {
    passive: (bits & 1) !== 0,
    durable: (bits & 2) !== 0,
    exclusive: classId === 50 && (bits & 4) !== 0,
    autoDelete: (bits & (classId === 50 ? 8 : 4)) !== 0,
  }
  const what = classId === 40 ? 'exchange' : 'queue'
  return { ...none, what, name, type: kind, ...flags, arguments: payload.subarray(afterType + 1) }
}

/** Whether a header frame carries the property `expiration`. */
export function hasExpiration({ type, payload }: Frame): boolean {
  return type === 2 && (payload.readUInt16BE(12) & (1 << 8)) !== 0
}

export function isDelivery({ type, payload }: Frame): boolean {
  return type === 1 && payload.readUInt16BE(0) === 60 && payload.readUInt16BE(2) === 60
}

/**
 * Consumers, one on each channel, that the broker forgets, and their clients do not know: a cancel is slipped in that
 * the client never sent, with the next bytes that it sends.
 */
export class ForgottenConsumers {
  #isForgetting = false
  #isMute = false

  /** @param isMute nothing that the broker says on their channels arrives any more, on connections there are now */
  forget({ isMute = false } = {}): void {
    this.#isForgetting = true
    this.#isMute = isMute
  }

  /** One per connection. */
  readonly createFilter = (): Filter => {
    const cancels = new Map<number, Buffer>()
    const mute = new Set<number>()
    const note = frameFilter((frame, direction) => {
      const cancel = cancelOf(frame)
      if (cancel !== undefined) cancels.set(frame.channel, cancel)
      return direction === 'to-server' || !mute.has(frame.channel)
    })()
    return (chunk, direction) => {
      const passed = note(chunk, direction)
      if (!this.#isForgetting || direction !== 'to-server' || cancels.size === 0) return passed
      this.#isForgetting = false
      if (this.#isMute) for (const channel of cancels.keys()) mute.add(channel)
      const slippedIn = [...cancels.values()]
      cancels.clear()
      return Buffer.concat([...slippedIn, passed])
    }
  }
}

/** What ends the consumer that a frame begins, without an answer. */
function cancelOf({ type, channel, payload }: Frame): Buffer | undefined {
  const isConsume = type === 1 && payload.readUInt16BE(0) === 60 && payload.readUInt16BE(2) === 20
  if (!isConsume) return undefined
  const [, afterQueue] = shortString(payload, 6)
  const [, afterTag] = shortString(payload, afterQueue)
  const tag = payload.subarray(afterQueue, afterTag)
  const frame = Buffer.alloc(7 + 4 + tag.length + 2)
  frame.writeUInt8(1, 0)
  frame.writeUInt16BE(channel, 1)
  frame.writeUInt32BE(frame.length - 8, 3)
  frame.writeUInt16BE(60, 7)
  frame.writeUInt16BE(30, 9)
  tag.copy(frame, 11)
  frame.writeUInt8(1, frame.length - 2)
  frame.writeUInt8(0xce, frame.length - 1)
  return frame
}

function shortString(bytes: Buffer, offset: number): readonly [string, number] {
  const end = offset + 1 + bytes.readUInt8(offset)
  return [bytes.toString('utf8', offset + 1, end), end]
}

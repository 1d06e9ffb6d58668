/** A body's text: decompressed under a cap, decoded as UTF-8. */
import type { WireMessage } from '../core/wire.ts'
import { isUtf8 } from 'node:buffer'
import { unzipSync, zstdDecompressSync } from 'node:zlib'
import { DecodeError, describe } from '../core/errors.ts'
import type { DecodeLimits } from './json.ts'

/** Output for each byte of input; zlib itself reaches 1029. */
const maxInflation = 10

/** @throws {DecodeError} too large, compressed in a way unknown here, damaged, or no UTF-8. */
export function bodyTextOf(wire: WireMessage, limits: DecodeLimits): string {
  const { body } = wire
  assertUtf8(wire.properties.contentEncoding)
  if (body.length > limits.maxBodyBytes) throw tooLarge(`${body.length} bytes`, limits)
  const compression = wire.headers['compression']
  if (typeof compression === 'string') return toText(inflate(body, compression, limits))
  return typeof body === 'string' ? body : toText(body)
}

/** kombu writes `utf-8`; `binary` says nothing of text. Texts in ASCII are UTF-8 too. */
const readable: ReadonlySet<string> = new Set(['', 'utf-8', 'utf8', 'us-ascii', 'ascii', 'binary'])

function assertUtf8(encoding: string): void {
  if (encoding === 'utf-8' || readable.has(encoding.toLowerCase())) return
  throw new DecodeError(`A body in ${describe(encoding)} is refused: send JSON in utf-8, as Celery does.`, {
    details: { contentEncoding: encoding },
  })
}

function toText(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new DecodeError('The body is no valid UTF-8.')
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('utf8')
}

function inflate(body: Uint8Array | string, compression: string, limits: DecodeLimits): Uint8Array {
  if (typeof body === 'string') throw new DecodeError(`The body is text, yet said to be compressed (${compression}).`)
  const decompress = decompressor(compression)
  // what is small is harmless, however well it was compressed
  const maxOutputLength = Math.min(Math.max(body.length * maxInflation, limits.softBodyBytes), limits.maxBodyBytes)
  try {
    return decompress(body, { maxOutputLength })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const size = `more than ${maxOutputLength} bytes, from ${body.length} compressed ones`
      if (maxOutputLength === limits.maxBodyBytes) throw tooLarge(size, limits)
      throw new DecodeError(
        `The body has ${size}; beyond ${limits.softBodyBytes} bytes ${maxInflation} times is the limit. Send it uncompressed, or a reference to the data.`,
        { details: { limit: maxOutputLength } },
      )
    }
    throw new DecodeError(`The body cannot be decompressed (${compression}): ${(error as Error).message}.`, {
      cause: error,
    })
  }
}

function decompressor(compression: string): (body: Uint8Array, options: { maxOutputLength: number }) => Uint8Array {
  switch (compression) {
    // kombu's "gzip" is a zlib stream; unzip takes both
    case 'application/x-gzip':
    case 'gzip':
    case 'zlib':
      return unzipSync
    case 'application/zstd':
    case 'zstd':
      return zstdDecompressSync
    default:
      throw new DecodeError(
        `The compression ${describe(compression)} is not known here: gzip and zstd are. ` +
          `Where the message comes from, set Celery's task_compression = 'gzip', or none.`,
        { details: { compression } },
      )
  }
}

function tooLarge(size: string, limits: DecodeLimits): DecodeError {
  return new DecodeError(
    `The body has ${size}; the limit is ${limits.maxBodyBytes}. Send a reference to the data instead of the data.`,
    { details: { limit: limits.maxBodyBytes } },
  )
}

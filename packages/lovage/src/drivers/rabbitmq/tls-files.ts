/** The files of PEM that a URL names for TLS. */
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { SecureContextOptions } from 'node:tls'
import { ConfigurationError, coerceError } from '../../core/errors.ts'
import type { Location } from './location.ts'

type FileOption = 'caFile' | 'certFile' | 'keyFile'

/**
 * What is in them, for `tls.connect`. Read for each link, so that a renewed certificate needs no restart.
 * @throws {ConfigurationError} naming the option, the path and why the file cannot be used.
 */
export async function readTlsFiles(
  location: Pick<Location, FileOption>,
): Promise<Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>> {
  const read = (option: FileOption): Promise<string | undefined> => readPem(option, location[option])
  const [ca, cert, key] = await Promise.all([read('caFile'), read('certFile'), read('keyFile')])
  if (cert !== undefined) assertPair({ cert, key }, location)
  return { ca, cert, key }
}

function assertPair(pair: SecureContextOptions, { certFile, keyFile }: Pick<Location, FileOption>): void {
  try {
    createSecureContext(pair)
  } catch (cause) {
    throw new ConfigurationError(
      `The URL's options certFile=${certFile} and keyFile=${keyFile} cannot be used: ${coerceError(cause).message}. ` +
        `The one names a certificate, the other its key, which must not have a passphrase`,
      { cause, details: { certFile, keyFile } },
    )
  }
}

async function readPem(option: FileOption, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const reason = `cannot be read: ${coerceError(cause).message}. Is the path right, seen from ${process.cwd()}, and may this user read it?`
    throw fileFault(option, { path, reason, cause })
  })
  // OpenSSL says nothing of a caFile without a certificate: it would trust nobody
  if (!text.includes('-----BEGIN '))
    throw fileFault(option, { path, reason: 'is no PEM: it has no line "-----BEGIN …"' })
  return text
}

function fileFault(
  option: FileOption,
  { path, reason, cause }: { readonly path: string; readonly reason: string; readonly cause?: unknown },
): ConfigurationError {
  return new ConfigurationError(`The URL's option ${option}=${path} names a file that ${reason}`, {
    cause,
    details: { option, path },
  })
}

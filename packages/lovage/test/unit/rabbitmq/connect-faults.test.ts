// What is said of a connection that could not be made. The errors are those that Node 22 and 24 and the client give.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectFault } from '../../../src/drivers/rabbitmq/faults.ts'
import { parseLocation } from '../../../src/drivers/rabbitmq/location.ts'
import { readTlsFiles } from '../../../src/drivers/rabbitmq/tls-files.ts'

const [plain, tls] = ['amqp://u@h:5301/v', 'amqps://u@h:15300/v']
const withCa = `${tls}?caFile=ca.pem`
const withCertificate = `${tls}?certFile=mine.pem&keyFile=mine.key`

interface Case {
  readonly url?: string
  readonly code?: string
  readonly text: string
  readonly reason: string
  readonly says: RegExp
}

const cases: readonly Case[] = [
  {
    code: 'ECONNREFUSED',
    text: 'connect ECONNREFUSED 127.0.0.1:5301',
    reason: 'refused',
    says: /nothing listens there/,
  },
  // localhost with two addresses: an AggregateError without a text
  { code: 'ECONNREFUSED', text: '', reason: 'refused', says: /nothing listens there/ },
  { code: 'ETIMEDOUT', text: 'connect ETIMEDOUT 10.0.0.1:15300', reason: 'timeout', says: /firewall/ },
  { text: 'connect ETIMEDOUT', reason: 'timeout', says: /within 5000 ms.*\?connectTimeoutMs=/ },
  { code: 'EHOSTUNREACH', text: 'connect EHOSTUNREACH 10.5.30.1:5301', reason: 'route', says: /no way leads there/ },
  { code: 'ENOTFOUND', text: 'getaddrinfo ENOTFOUND certificate.530', reason: 'host', says: /name server/ },
  { code: 'EAI_AGAIN', text: 'getaddrinfo EAI_AGAIN h', reason: 'host', says: /name server/ },
  {
    text: 'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused"',
    reason: 'credentials',
    says: /refuses the user "u"/,
  },
  {
    text: 'Handshake terminated by server: 530 (NOT-ALLOWED) with message "NOT_ALLOWED - vhost v not found"',
    reason: 'vhost',
    says: /no virtual host "v"/,
  },
  {
    text: 'Expected ConnectionOpenOk; got <ConnectionClose channel:0>',
    reason: 'vhost',
    says: /no virtual host "v"/,
  },
  { text: 'Socket closed abruptly during opening handshake', reason: 'protocol', says: /Perhaps it wants TLS/ },
  {
    url: tls,
    code: 'ECONNRESET',
    text: 'read ECONNRESET',
    reason: 'protocol',
    says: /a client certificate \(\?certFile=/,
  },
  { url: withCertificate, code: 'EPIPE', text: 'write EPIPE', reason: 'protocol', says: /refuses the client cert/ },
  {
    url: tls,
    code: 'CERT_HAS_EXPIRED',
    text: 'certificate has expired',
    reason: 'certificate-time',
    says: /certificate has expired.*Renew it/,
  },
  {
    url: tls,
    code: 'CERT_NOT_YET_VALID',
    text: 'certificate is not yet valid',
    reason: 'certificate-time',
    says: /clock/,
  },
  {
    url: withCa,
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    text: "Hostname/IP does not match certificate's altnames: Host: h. is not in the cert's altnames: DNS:other.example",
    reason: 'certificate-name',
    says: /not for "h".*DNS:other\.example.*subjectAltName/,
  },
  {
    url: tls,
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    text: 'self-signed certificate',
    reason: 'certificate',
    says: /signed by itself.*this certificate in the URL: \?caFile=/,
  },
  {
    url: tls,
    code: 'SELF_SIGNED_CERT_IN_CHAIN',
    text: 'self-signed certificate in certificate chain',
    reason: 'certificate',
    says: /nobody known here.*\?caFile=/,
  },
  {
    url: withCa,
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    text: 'unable to verify the first certificate',
    reason: 'certificate',
    says: /nobody in caFile=ca\.pem.*ssl_options\.certfile/,
  },
  {
    url: tls,
    code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    text: '40AD:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../rec.c:918:SSL alert number 116\n',
    reason: 'client-certificate',
    says: /demands a client certificate.*\?certFile=.*&keyFile=/,
  },
  {
    url: withCertificate,
    code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
    text: '40AD:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:../rec.c:918:SSL alert number 48\n',
    reason: 'client-certificate',
    says: /refuses the client certificate in certFile=mine\.pem \(unknown ca\)/,
  },
  {
    url: tls,
    code: 'EPROTO',
    text: 'write EPROTO 40AD:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../rec.c:918',
    reason: 'client-certificate',
    says: /demands a client certificate/,
  },
  {
    url: withCertificate,
    code: 'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
    text: '40AD:error:0A000412:SSL routines:ssl3_read_bytes:ssl/tls alert bad certificate:../rec.c:918:SSL alert number 42\n',
    reason: 'client-certificate',
    says: /refuses the client certificate in certFile=mine\.pem \(bad certificate\).*cacertfile\?$/,
  },
  ...['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE'].map(code => ({
    url: tls,
    code,
    text: '40AD:error:0A000410:SSL routines:ssl3_read_bytes:alert:../rec.c:918:SSL alert number 40\n',
    reason: 'handshake',
    says: /most likely it demands a client certificate.*\?certFile=/,
  })),
  {
    url: withCertificate,
    code: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
    text: '40AD:error:0A000410:SSL routines',
    reason: 'handshake',
    says: /certFile=mine\.pem.*ssl_options\.ciphers/,
  },
  {
    url: tls,
    code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    text: '40AD:error:0A00042E:SSL routines',
    reason: 'tls-version',
    says: /ssl_options\.versions/,
  },
  {
    url: tls,
    code: 'ERR_SSL_WRONG_VERSION_NUMBER',
    text: '40AD:error:0A00010B:SSL routines',
    reason: 'tls',
    says: /does not speak TLS/,
  },
  {
    url: tls,
    code: 'EPROTO',
    text: 'write EPROTO 40AD:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../any.c:77:\n',
    reason: 'tls',
    says: /does not speak TLS/,
  },
  { code: 'EMFILE', text: 'connect EMFILE 127.0.0.1:5301 - Local', reason: 'unknown', says: /used: connect EMFILE/ },
]

describe('A connection that could not be made', () => {
  it.each(cases)('$code $text: $reason', ({ url = plain, code, text, reason, says }) => {
    const location = parseLocation(url)
    const [host] = location.hosts
    if (host === undefined) throw new Error('The URL has no host')
    const error = connectFault(Object.assign(new Error(text), code === undefined ? {} : { code }), location, host)
    expect(error).toMatchObject({
      code: 'E_BROKER_CONNECTION',
      details: { reason },
      message: expect.stringMatching(says),
    })
  })
})

describe('A file for TLS', () => {
  const none = { caFile: undefined, certFile: undefined, keyFile: undefined }
  const missing = join(tmpdir(), 'no-such-folder', 'a.pem')

  it.each([
    [
      'is not there',
      { keyFile: missing },
      /keyFile=.*a\.pem names a file that cannot be read: ENOENT.*Is the path right/,
    ],
    ['is a folder', { caFile: tmpdir() }, /caFile=.* names a file that cannot be read: EISDIR/],
  ])('that %s is named with its option and the reason', async (_, files, says) => {
    await expect(readTlsFiles({ ...none, ...files })).rejects.toMatchObject({
      code: 'E_CONFIG',
      message: expect.stringMatching(says),
    })
  })

  it.each(['caFile', 'certFile', 'keyFile'] as const)('is no PEM: %s', async option => {
    const path = temporary('nonsense')
    await expect(readTlsFiles({ ...none, [option]: path })).rejects.toMatchObject({
      code: 'E_CONFIG',
      details: { option, path },
      message: expect.stringContaining(`${option}=${path} names a file that is no PEM`),
    })
  })

  it('is a certificate that cannot be read, or does not belong to the key', async () => {
    const path = temporary('-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n')
    await expect(readTlsFiles({ ...none, certFile: path, keyFile: path })).rejects.toMatchObject({
      code: 'E_CONFIG',
      message: expect.stringMatching(/certFile=.* and keyFile=.* cannot be used: .*passphrase/),
    })
  })

  it.each(['certFile', 'keyFile'])('for a client is refused alone: %s', option => {
    expect(() => parseLocation(`amqps://h?${option}=a.pem`)).toThrow(
      expect.objectContaining({ code: 'E_CONFIG', message: expect.stringMatching(`the option ${option} without `) }),
    )
  })
})

/** A file with this in it; its path. Gone after the test. */
function temporary(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lovage-pem-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'file.pem')
  writeFileSync(path, text)
  return path
}

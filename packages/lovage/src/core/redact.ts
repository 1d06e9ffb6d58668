/** Secrets do not reach logs, previews and pages: known by the name of their key, or by their looks. */

import { splitUrls } from './split-urls.ts'

export const redacted = '***'

/** Anywhere in a name, written in whatever case: these are secrets in any company. */
const secretParts = /passw|passphrase|secret|token|authorization|apikey|privatekey|cookie|credential/
/** Only as a word or its beginning, because `className`, `discard` and `bypass` hold them too. */
const secretWords = /(?:^|_)(?:pass|pwd|ssn(?![a-z])|card)/

/** Whether the value under such a key is to be hidden: `password`, `apiKey`, `X-Auth-Token`, `card_number`, … */
export function isSecretKey(key: string): boolean {
  const words = key
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z\d]+/g, '_')
    .toLowerCase()
  return secretWords.test(words) || secretParts.test(words.replaceAll('_', ''))
}

/** `://user:password@`, also without a user. The password runs to the last @ before the path. */
const userInfo = /(:\/\/[^\s:@/?#]*):[^\s/?#]*@/g
const jsonWebToken = /\beyJ[\w-]{8,}(?:\.[\w-]*){0,2}/g
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g
const awsKeyId = /\b(?:AKIA|ASIA)[A-Z\d]{16}\b/g
const bearer = /\b(Bearer|Basic) [\w.~+/-]{8,}=*/g

/** What all of them begin with: most texts have none, and are done after one look. */
const suspicious = /:\/\/|eyJ|-----BEGIN|AKIA|ASIA|Bearer |Basic /

/** The text without passwords in URLs, JSON web tokens, private keys, AWS key ids and authorization headers. */
export function redactText(text: string): string {
  if (!suspicious.test(text)) return text
  return text
    .replace(userInfo, `$1:${redacted}@`)
    .replace(jsonWebToken, redacted)
    .replace(privateKey, redacted)
    .replace(awsKeyId, redacted)
    .replace(bearer, `$1 ${redacted}`)
}

/** JSON text with what lies under secret keys hidden. What is no JSON comes back as it is. */
export function redactJson(text: string): string {
  if (!text.includes('{')) return text
  let hasSecret = false
  const hide = (key: string, value: unknown): unknown => {
    if (!isSecretKey(key)) return value
    hasSecret = true
    return redacted
  }
  try {
    const masked = JSON.stringify(JSON.parse(text), hide)
    // what has none keeps its own spelling, numbers of any length too
    return hasSecret ? masked : text
  } catch {
    return text
  }
}

/** A broker's or store's URL fit to be printed; several, separated by `;`, too. What is no URL comes back as it is. */
export function maskUrl(url: string): string {
  return splitUrls(url).map(maskOneUrl).join(';')
}

function maskOneUrl(url: string): string {
  const [, scheme, rest] = /^(\s*[a-z][a-z\d+.-]*:\/\/)(.*)$/is.exec(url) ?? []
  if (scheme === undefined || rest === undefined) return redactText(url)
  // a raw `/`, `?` or `#` in a password ends it too soon for a parser: all before the last @ may be the password
  const [front] = splitAt(rest, rest.search(/[/?#]/))
  const from = URL.canParse(url) && !/:.*@/s.test(front) ? 0 : rest.lastIndexOf('@') + 1
  const end = rest.slice(from).search(/[/?#]/)
  const [authority, path] = splitAt(rest, end === -1 ? -1 : from + end)
  return scheme + maskPassword(authority) + path.replace(/([?&#])([^=&#]+)=([^&#]*)/g, maskParameter)
}

function maskPassword(authority: string): string {
  const [user, host] = splitAt(authority, authority.lastIndexOf('@'))
  const colon = user.indexOf(':')
  return host === '' || colon === -1 ? authority : `${user.slice(0, colon)}:${redacted}${host}`
}

function maskParameter(match: string, separator: string, name: string): string {
  return isSecretKey(name) ? `${separator}${name}=${redacted}` : match
}

/** All of it is in front when there is no such place. */
function splitAt(text: string, index: number): readonly [front: string, back: string] {
  return index === -1 ? [text, ''] : [text.slice(0, index), text.slice(index)]
}

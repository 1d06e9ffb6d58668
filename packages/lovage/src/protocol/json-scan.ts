/** What is looked for in JSON text before it is parsed: limits, and what Python writes though it is no JSON. */
import { DecodeError } from '../core/errors.ts'

const quote = 0x22
const backslash = 0x5c

/** The offset after the string that begins at `start`, or the text's length when it does not end. */
function endOfString(text: string, start: number): number {
  let at = start
  for (;;) {
    at = text.indexOf('"', at + 1)
    if (at === -1) return text.length
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return at + 1
  }
}

/** @throws {DecodeError} it is nested too deep, or an object has too many keys. The text need not be JSON. */
export function scanLimits(text: string, limits: { readonly maxDepth: number; readonly maxKeys: number }): void {
  const keys: number[] = [0]
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = endOfString(text, at) - 1
        break
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > limits.maxDepth) throw overLimit(`is nested deeper than ${limits.maxDepth} levels`)
        keys[depth] = 0
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth = Math.max(0, depth - 1)
        break
      case 0x3a: // :
        keys[depth] = (keys[depth] ?? 0) + 1
        if ((keys[depth] ?? 0) > limits.maxKeys) throw overLimit(`holds an object of more than ${limits.maxKeys} keys`)
    }
  }
}

function overLimit(what: string): DecodeError {
  return new DecodeError(`The JSON text ${what}: a reader takes no more.`)
}

/** Stands for NaN where JSON has no word for it: a number that nobody writes, known by its spelling. */
export const nanToken = '0e-271828182845'

const letterN = 0x4e
const letterI = 0x49

/** Python's bare `NaN`, `Infinity` and `-Infinity` as numbers JSON can read; strings are left alone. */
export function replaceNonFinite(text: string): string {
  if (!/NaN|Infinity/.test(text)) return text
  let out = ''
  let from = 0
  let at = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    const token = code === letterN ? 'NaN' : code === letterI ? 'Infinity' : ''
    if (code === quote) at = endOfString(text, at)
    else if (token === '' || !text.startsWith(token, at)) at++
    else {
      // the spaces keep `1NaN` from becoming a number
      const before = text.charAt(at - 1) === '-' ? '' : ' '
      out += text.slice(from, at) + (token === 'NaN' ? ` ${nanToken} ` : `${before}1e999 `)
      at += token.length
      from = at
    }
  }
  return out + text.slice(from)
}

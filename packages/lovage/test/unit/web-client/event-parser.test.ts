import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEventParser, type ServerEvent } from '../../../src/web/client/event-parser.ts'

function parse(...chunks: readonly (string | Uint8Array)[]): ServerEvent[] {
  const events: ServerEvent[] = []
  const push = createEventParser(event => events.push(event))
  for (const chunk of chunks) push(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk)
  return events
}

describe('the reader of event streams', () => {
  it.each([
    ['an event', 'event: snapshot\ndata: {}\nid: 1\n\n', [{ name: 'snapshot', data: '{}', id: '1' }]],
    ['CRLF', 'event: a\r\ndata: x\r\n\r\n', [{ name: 'a', data: 'x', id: '' }]],
    ['CR', 'event: a\rdata: x\r\r\n', [{ name: 'a', data: 'x', id: '' }]],
    ['a byte order mark', '\uFEFFdata: x\n\n', [{ name: 'message', data: 'x', id: '' }]],
    ['several data lines', 'data: a\ndata:b\ndata\n\n', [{ name: 'message', data: 'a\nb\n', id: '' }]],
    ['one space after the colon only', 'data:  x\n\n', [{ name: 'message', data: ' x', id: '' }]],
    ['comments', ': hb\n\n:\n\ndata: x\n: y\n\n', [{ name: 'message', data: 'x', id: '' }]],
    ['fields it does not know', 'retry: 5\nfoo: bar\nfoo\ndata: x\n\n', [{ name: 'message', data: 'x', id: '' }]],
    ['an event without data', 'event: a\n\ndata: x\n\n', [{ name: 'message', data: 'x', id: '' }]],
    ['an event that is not finished', 'data: x\n', []],
    ['an id that stays', 'id: 7\ndata: a\n\ndata: b\n\n', ['a', 'b'].map(data => ({ name: 'message', data, id: '7' }))],
    ['an id with NUL', 'id: a\0\ndata: x\n\n', [{ name: 'message', data: 'x', id: '' }]],
  ])('reads %s', (_name, text, expected) => {
    expect(parse(text)).toEqual(expected)
  })

  it('gives the same events wherever the chunks end, inside characters and line ends too', () => {
    const newline = fc.constantFrom('\n', '\r\n')
    const line = fc.constantFrom('data: é😀', 'event: snapshot', 'id: e-1', ': hb', 'data: {"a":1}', '', '')
    const stream = fc.array(fc.tuple(line, newline), { maxLength: 30 })
    fc.assert(
      fc.property(stream, fc.array(fc.nat(200)), (lines, cuts) => {
        const bytes = new TextEncoder().encode(`${lines.flat().join('')}`)
        const ends = [...new Set(cuts.map(cut => Math.min(cut, bytes.length)))].sort((a, b) => a - b)
        const chunks = [...ends, bytes.length].map((end, index) => bytes.slice(ends[index - 1] ?? 0, end))
        expect(parse(...chunks)).toEqual(parse(bytes))
      }),
    )
  })
})

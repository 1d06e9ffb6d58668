/**
 * Reads `text/event-stream` from chunks that may end anywhere, inside a character or between CR and LF too.
 * A field it does not know is skipped, as the HTML standard says.
 */
export interface ServerEvent {
  /** `message` where the stream names none. */
  readonly name: string
  readonly data: string
  /** The last id that was sent, '' before the first. */
  readonly id: string
}

/** Each call takes the next bytes and hands over the events they complete, in order. Comments hand over nothing. */
export function createEventParser(onEvent: (event: ServerEvent) => void): (bytes: Uint8Array) => void {
  // drops a byte order mark by itself
  const decoder = new TextDecoder()
  let unread = ''
  let name = ''
  let data: string[] = []
  let id = ''

  function readLine(line: string): void {
    if (line === '') return endEvent()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') name = value
    else if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
  }

  function endEvent(): void {
    const event = { name: name || 'message', data: data.join('\n'), id }
    const hasData = data.length > 0
    name = ''
    data = []
    if (hasData) onEvent(event)
  }

  return bytes => {
    // a CR at the very end may be half of CRLF: it waits for what follows
    const lines = (unread + decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!$)/)
    unread = lines.pop() ?? ''
    for (const line of lines) readLine(line)
  }
}

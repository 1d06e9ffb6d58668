import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { PublicSnapshot } from '../../../src/web/contract.ts'
import { createTaskClient } from '../../../src/web/client/task-client.ts'

/** What the page is sent, as the server writes it. */
let send: (text: string) => void = () => undefined
let requests = 0
const timers = new Map<number, { readonly run: () => void; readonly ms: number }>()
let timerCount = 0

/** Runs what waits for no longer than this. */
function pass(ms: number): void {
  for (const [id, timer] of timers) {
    if (timer.ms <= ms && timers.delete(id)) timer.run()
  }
}

beforeEach(() => {
  timers.clear()
  vi.stubGlobal('setTimeout', (run: () => void, ms: number) => {
    timers.set(++timerCount, { run, ms })
    return timerCount
  })
  vi.stubGlobal('clearTimeout', (id: number) => timers.delete(id))
  vi.stubGlobal('document', { visibilityState: 'visible', addEventListener: () => undefined })
  vi.stubGlobal('addEventListener', () => undefined)
  vi.stubGlobal('BroadcastChannel', undefined)
  requests = 0
  vi.stubGlobal('fetch', async () => {
    requests++
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        send = text => controller.enqueue(new TextEncoder().encode(text))
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  })
})

afterEach(() => {
  vi.unstubAllGlobals()
})

function event(seq: number): string {
  const snapshot = { id: 't', state: 'PROGRESS', ready: false, version: [0, 0, 1, 3, seq], attempt: 1, seq, can: [] }
  return `event: snapshot\ndata: ${JSON.stringify({ handle: 0, ...snapshot })}\n\n`
}

it('a listener that throws ends neither the stream nor what the others are told', async () => {
  const client = createTaskClient()
  const seen: number[] = []
  client.subscribe('t', () => {
    throw new Error("the page's own mistake")
  })
  client.subscribe('t', (snapshot: PublicSnapshot) => seen.push(snapshot.seq))
  pass(10)
  await vi.waitFor(() => expect(requests).toBe(1))
  for (const seq of [1, 2]) {
    send(event(seq))
    await vi.waitFor(() => expect(seen).toContain(seq))
    // it stands in the console as if nobody had caught it
    expect(() => pass(1)).toThrow("the page's own mistake")
  }
  pass(5000)
  expect(requests).toBe(1)
})

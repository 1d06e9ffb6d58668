import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { endOfTurn } from '../../../src/core/clock.ts'
import { createStderrLines } from '../../../src/app/stderr-lines.ts'

const turn = (): Promise<void> => new Promise(resolve => endOfTurn(resolve))

describe('lines to standard error', () => {
  test('of one turn are one write, in their order', async () => {
    const writes: string[] = []
    const line = createStderrLines(text => writes.push(text))
    line('a\n', false)
    await Promise.resolve()
    line('b\n', false)
    expect(writes).toEqual([])
    await turn()
    line('c\n', false)
    await turn()
    expect(writes).toEqual(['a\nb\n', 'c\n'])
  })

  test('leave at once when one is urgent', () => {
    const writes: string[] = []
    const line = createStderrLines(text => writes.push(text))
    line('a\n', false)
    line('b\n', true)
    expect(writes).toEqual(['a\nb\n'])
  })

  test('leave before they are too many to hold', () => {
    const writes: string[] = []
    const line = createStderrLines(text => writes.push(text))
    for (let i = 0; i < 50; i++) line(`${'x'.repeat(1000)}\n`, false)
    expect(writes.length).toBe(1)
  })

  test('leave no listener behind', async () => {
    await turn()
    const before = process.listenerCount('exit')
    const line = createStderrLines(() => undefined)
    line('a\n', false)
    line('b\n', true)
    line('c\n', false)
    await turn()
    expect(process.listenerCount('exit')).toBe(before)
  })

  const file = JSON.stringify(new URL('../../../src/app/stderr-lines.ts', import.meta.url).href)
  test.each([
    ['process.exit', 'process.exit(0)'],
    ['an uncaught error', 'throw new Error("boom")'],
    ['the end of all work', ''],
  ])('are written when the process ends by %s', (_how, end) => {
    const program = `import { createStderrLines } from ${file}; createStderrLines()('last words\\n', false); ${end}`
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    expect(stderr).toContain('last words\n')
  })
})

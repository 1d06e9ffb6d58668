import { expect, it } from 'vitest'
import { parseOptions } from './options.ts'

it('plays as many histories as are asked for, from a seed on', () => {
  expect(parseOptions(['--seeds', '3', '--from', '7'])).toMatchObject({ seeds: [7, 8, 9] })
  expect(parseOptions(['--seed', '5', '--only', 't3,t3chain1,lost-answer', '--break', 'no-fencing'])).toMatchObject({
    seeds: [5],
    only: new Set(['t3', 't3chain1', 'lost-answer']),
    breakage: 'no-fencing',
  })
})

it.each([
  [['--seeds', '0'], 'above 0'],
  [['--seeds', 'many'], '--seeds is "many"'],
  [['--seeds', ''], '--seeds is ""'],
  [['--seed', '1.5'], '--seed is "1.5"'],
  [['--only', 'task'], '--only task: such as t3'],
  [['--break', 'nothing'], 'ack-before-store'],
  [['--sedes', '5'], '--sedes'],
])('%j is refused: it says %s', (args, words) => {
  expect(() => parseOptions(args)).toThrow(words)
})

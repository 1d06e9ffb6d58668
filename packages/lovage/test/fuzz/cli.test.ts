import type { Command } from 'commander'
import fc from 'fast-check'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { createProgram } from '../../src/cli/program.ts'
import { reportFailure } from '../../src/cli/report-failure.ts'
import { createTerminal } from '../../src/cli/terminal.ts'
import { errorRegistry } from '../../src/core/errors.ts'
import { printable } from '../../src/core/printable.ts'
import { redactText } from '../../src/core/redact.ts'
import { commandsByName } from '../docs/support/cli-page.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyText, jsonText } from './support/wire-values.ts'

const home = process.cwd()
let folder = ''
beforeAll(() => {
  // an empty project of nobody's, so that no tasks file is found
  folder = mkdtempSync(join(tmpdir(), 'lovage-fuzz-'))
  writeFileSync(join(folder, 'package.json'), '{}')
  process.chdir(folder)
})
afterAll(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true })
})

const commands = [...commandsByName(createProgram()).entries()]
const flags = commands.flatMap(([, command]) => command.options.flatMap(({ long, short }) => [long, short]))
const words = commands.map(([name]) => name.split(' ').slice(1))

const value = fc.oneof(
  anyText,
  jsonText.filter(text => text.length < 2000),
  fc.constantFrom(
    '-',
    '--',
    '30s',
    '1e9',
    '2026-11-22T10:00:00Z',
    '9999999999-01-01',
    'runs',
    '[2, 3]',
    '{"a":1}',
    '0',
    '10',
  ),
  fc.constantFrom(
    'FAILURE,RETRY',
    'memory:',
    'amqp://me:hunter2@host',
    'no-such-file.ts',
    '/dev/null',
    '.',
    '99999999999999999d',
  ),
)

const argv = fc
  .tuple(
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...words) }, fc.array(anyText, { maxLength: 2 })),
    fc.array(fc.oneof({ weight: 2, arbitrary: value }, fc.constantFrom(...flags.filter(flag => flag !== undefined))), {
      maxLength: 5,
    }),
  )
  .map(([command, rest]) => [...command, ...rest])

interface Ended {
  readonly code: number
  readonly output: string
}

/** What a whole process would do, but for its end. */
async function run(program: Command, args: readonly string[]): Promise<Ended> {
  let output = ''
  const write = (text: string | Uint8Array): boolean => {
    output += String(text)
    return true
  }
  const [out, err] = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')]
  out.mockImplementation(write)
  err.mockImplementation(write)
  const env = { ...process.env }
  try {
    await program.parseAsync(args, { from: 'user' })
    return { code: Number(process.exitCode ?? 0), output }
  } catch (error) {
    return { code: reportFailure(error, createTerminal({}), false), output }
  } finally {
    process.exitCode = undefined
    process.env = env
    out.mockRestore()
    err.mockRestore()
  }
}

function isAsPromised({ code, output }: Ended, args: readonly string[]): void {
  expect(Object.values(exitCodes)).toContain(code)
  expect({ code, output }).not.toMatchObject({ code: exitCodes.internal })
  expect(output).not.toMatch(/\n\s+at .*:\d+:\d+/)
  // oxlint-disable-next-line no-control-regex -- controls are what is looked for
  expect(output).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
  const said = /^(E_\w+) {2}(.*)/m.exec(output)
  if (said === null) return
  expect(Object.keys(errorRegistry)).toContain(said[1])
  expect(output).not.toContain('hunter2')
  // commander says of these only that they are missing, or too many
  if (code === exitCodes.usage && !/issing|oo many|needs|expected/i.test(output))
    expect({ output, isNamed: args.some(word => namesOf(word).some(name => output.includes(name))) }).toMatchObject({
      isNamed: true,
    })
}

/** As a message may show it, cut. */
function namesOf(word: string): string[] {
  return [...word.split('\n'), JSON.stringify(word).slice(1, -1)].map(text =>
    printable(redactText(text)).slice(0, 20).replace(/\\+$/, ''),
  )
}

/** No command does anything. */
function inertProgram(): Command {
  const program = createProgram()
  for (const command of commandsByName(program).values())
    if (command.commands.length === 0) command.action(() => undefined)
  return program
}

/** These wait for ever: for a worker, for a signal, for input. */
const waits = ['worker', 'dev', 'follow', 'wait', '-', '-f']

fuzz('command line', {
  'of any words is understood, or refused with what is wrong': property({
    of: argv,
    holds: async args => isAsPromised(await run(inertProgram(), args), args),
    runs: 1000,
  }),
  'of any words ends with a documented exit code, and without a stack': property({
    of: argv.filter(
      args =>
        !args.some(word =>
          waits.some(wait => word === wait || word === `--${wait}` || (/^-[a-z]/i.test(word) && word.includes('f'))),
        ),
    ),
    holds: async args => isAsPromised(await run(createProgram(), ['-b', 'memory://fuzz', ...args]), args),
    runs: 400,
  }),
  'sends what it is told, or says what is wrong with it': property({
    of: fc.tuple(
      value.filter(word => word !== '-'),
      value.filter(word => word !== '-'),
      fc.array(
        fc.tuple(
          fc.constantFrom('--countdown', '--eta', '--expires', '--queue', '--priority', '--task-id', '-a', '-k'),
          value,
        ),
        { maxLength: 2 },
      ),
    ),
    async holds([name, json, options]) {
      const args = ['call', ...options.map(([flag, given]) => `${flag.padStart(3, '-')}=${given}`), '--', name, json]
      isAsPromised(await run(createProgram(), ['-b', 'memory://fuzz', ...args]), args)
    },
    runs: 400,
  }),
})

/**
 * `npm run faults [-- --fault N] [--only TEXT]`: every test of packages/lovage/test/faults in its long form. `npm test` has
 * the same tests with less of everything. What each fault's number means, and what is promised: docs/faults.md.
 */
import { parseArgs } from 'node:util'
import { runNode, vitest } from './run-node.js'

const help = `npm run faults [-- --fault N] [--only TEXT]

Breaks things and looks what becomes of the tasks: every test of packages/lovage/test/faults, in its long form.
  --fault N    only the tests of one fault, by its number in docs/faults.md
  --only TEXT  only tests whose name holds TEXT

Some need root, strace, libfaketime, Python with Celery or RabbitMQ, on Linux; without them they are skipped, and say
so. With CI set, what is missing is installed, or the run fails. It takes about half an hour.
Exit code: 0 when all passed, 1 when one did not or none was run, 64 for a wrong option, 128 and its
number for a signal.`

const wanted = options()
if (wanted === undefined) console.log(help)
else process.exitCode = await run(wanted)

function options() {
  try {
    const { values } = parseArgs({
      options: { fault: { type: 'string' }, only: { type: 'string' }, help: { type: 'boolean', default: false } },
    })
    if (values.help) return undefined
    if (values.fault !== undefined && !/^\d+$/.test(values.fault))
      throw new Error(`--fault ${values.fault}: expected a number, such as 12`)
    if (values.fault !== undefined && values.only !== undefined) throw new Error('--fault or --only: give one of them')
    return values
  } catch (error) {
    console.error(error.message)
    console.error('See: npm run faults -- --help')
    process.exit(64)
  }
}

async function run({ fault, only }) {
  const args = [vitest, 'run', '--project', 'faults']
  if (fault !== undefined) args.push('-t', `faults? (\\d+, )*${fault}\\b`)
  else if (only !== undefined) args.push('-t', only.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
  return await runNode(args, { ...process.env, LONG_TESTS: '1', MUST_TEST: '1' })
}

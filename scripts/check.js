// `npm run check`: what must be green before a commit, in well under a minute. The steps are
// independent, so as many run at once as there are cores; each one's output is shown whole.
// `npm run check -- --static` leaves the tests out, for CI, which runs all of them next.
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

const steps = ['test:quick', 'types', 'knip', 'format', 'lint']
const wanted = process.argv.includes('--static') ? steps.filter(step => step !== 'test:quick') : steps

const waiting = [...wanted]
const results = []
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, runWaiting))

report()

async function runWaiting() {
  for (let step = waiting.shift(); step; step = waiting.shift()) results.push(await run(step))
}

function run(step) {
  const startedAt = performance.now()
  const child = spawn('npm', ['run', '--silent', step], {
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
    env: { ...process.env, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' },
  })
  let output = ''
  child.stdout.on('data', chunk => (output += chunk))
  child.stderr.on('data', chunk => (output += chunk))
  return new Promise(resolve => {
    child.on('close', code => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${step} ${seconds} s`)
      resolve({ step, isGreen: code === 0, output })
    })
  })
}

/** Failures are printed after everything else, and the tests last of all: their last line is the counts. */
function report() {
  const shown = results.filter(({ step, isGreen }) => !isGreen || step === 'test:quick')
  shown.sort((a, b) => Number(a.step === 'test:quick') - Number(b.step === 'test:quick'))
  for (const { step, output } of shown) process.stdout.write(`\n${step}\n${output}`)
  process.exitCode = results.every(({ isGreen }) => isGreen) ? 0 : 1
}

/** `npm run faults` and `npm run fuzz` end when they are told to, and what they have started ends before them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'
import { resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const script = pathToFileURL(resolve(import.meta.dirname, '../../scripts/run-node.js')).href

/** A script that runs `program`; `said` grows with what both print. */
function start(program: string) {
  const code = `import { runNode } from '${script}'
process.exitCode = await runNode(['-e', ${JSON.stringify(program)}], process.env)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  return { child, ended: once(child, 'close'), said: () => said }
}

test.each([0, 3])('the exit code of what was run: %i', async code => {
  const { ended } = start(`process.exit(${code})`)
  expect(await ended).toEqual([code, null])
})

test('what was run is killed: 128 and the number', async () => {
  expect(await start(`process.kill(process.pid, 'SIGKILL')`).ended).toEqual([137, null])
})

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)('%s is passed on and waited for', async (signal, code) => {
  const { child, ended, said } = start(`
    process.on('${signal}', () => setTimeout(() => { console.log('cleaned'); process.exit(0) }, 50))
    setInterval(() => undefined, 1000)
    console.log(process.pid)`)
  await once(child.stdout, 'data')
  const pid = Number(said())
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  })
  child.kill(signal)
  expect(await ended).toEqual([code, null])
  expect(said()).toContain('cleaned')
  expect(isAlive(pid)).toBe(false)
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

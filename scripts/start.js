// `npm start`: the main job on the embedded default. A worker with the example tasks, one call whose progress is shown,
// and then whatever you call from another terminal, until Ctrl-C.
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const tasks = 'examples/tasks/tasks.ts'

const worker = lovage(['worker', tasks, '-c', '4'], ['inherit', 'inherit', 'inherit', 'ipc'])
worker.once('message', showOneCall)
worker.on('exit', code => process.exit(code ?? 1))
// Ctrl-C reaches the worker too, as one of the terminal's group: it stops, and this ends with it
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => worker.kill('SIGTERM'))

async function showOneCall() {
  console.log("\n$ lovage call core.tasks.loop '[5]' --follow")
  await ended(lovage(['-A', tasks, 'call', 'core.tasks.loop', '[5]', '--follow'], 'inherit'))
  console.log(`
The worker goes on until Ctrl-C. In another terminal:
  npx lovage -A ${tasks} call core.tasks.loop '[30]' --follow
  npx lovage -A ${tasks} list
`)
}

function lovage(args, stdio) {
  return spawn(process.execPath, [join(root, 'packages/lovage/bin/lovage.js'), ...args], { cwd: root, stdio })
}

function ended(child) {
  return new Promise(resolve => child.on('exit', resolve))
}

// `npm start`: the tutorial's web server, and a worker with the example tasks beneath it, on the embedded default, until
// Ctrl-C. PORT=8001 npm start: on another port. A worker that dies is started again.
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const restartAfterMs = 500
/** What a worker says when starting it again would end the same way: usage, configuration. */
const hopeless = [64, 78]
const children = new Set()
let isStopping = false

// Ctrl-C reaches the children too, as members of the terminal's group; a second signal to them would mean "at once"
process.on('SIGINT', () => stop())
process.on('SIGTERM', () => stop('SIGTERM'))

const web = start(['examples/tutorial/server.ts'])
web.once('message', startWorker)
web.on('exit', code => {
  if (!isStopping) stop('SIGTERM')
  process.exitCode ||= code ?? 1
})

function startWorker() {
  if (isStopping) return
  const worker = start(['packages/lovage/bin/lovage.js', 'worker', 'examples/tasks/tasks.ts', '-c', '4'])
  worker.on('exit', (code, signal) => {
    if (isStopping) return
    if (hopeless.includes(code)) {
      process.exitCode = code
      return stop('SIGTERM')
    }
    console.error(`The worker ended with ${signal ?? code}. Starting another one; its tasks are run again.`)
    setTimeout(startWorker, restartAfterMs)
  })
}

function start(args) {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  children.add(child)
  child.on('exit', () => children.delete(child))
  return child
}

function stop(signal) {
  isStopping = true
  if (signal !== undefined) for (const child of children) child.kill(signal)
}

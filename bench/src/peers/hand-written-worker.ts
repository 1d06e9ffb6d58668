/** The hand-written loop's worker: `node hand-written-worker.ts FILE CLAIM`. */
import { HandWrittenStore, WakeFile, type Finished, type Message } from './hand-written-store.ts'

if (import.meta.main) work(String(process.argv[2]), Number(process.argv[3]))

function work(file: string, claim: number): void {
  const store = new HandWrittenStore(file)
  const tasks = new WakeFile(`${file}.work`)
  const done = new WakeFile(`${file}.done`)
  let isScheduled = false

  // one batch a turn, so that signals are heard; woken by the client's touch, with slow polling behind it
  const wake = () => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(runBatch)
  }
  const runBatch = () => {
    isScheduled = false
    const claimed = store.claim(claim)
    if (claimed.length === 0) return
    store.settle(claimed.map(run))
    done.touch()
    wake()
  }
  const stop = () => process.exit(0)

  tasks.watch(wake)
  setInterval(wake, 500)
  process.on('SIGTERM', stop)
  wake()
  console.log('ready')
}

export function run({ key, id, headers, body }: Message): Finished {
  const { task } = JSON.parse(headers) as { task: string }
  if (task !== 'bench.add') throw new Error(`no task named ${task}`)
  const [[x, y]] = JSON.parse(body) as [[number, number]]
  return { key, id, value: JSON.stringify(x + y) }
}

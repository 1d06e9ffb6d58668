/** What the worker of the row `browser` runs: a task that has something new to show once a second, with the time in it. */
import { Lovage } from 'lovage'

export const app = new Lovage('bench')

export const tick = app.task('bench.tick', async (task, offsetMs: number, seconds: number) => {
  await task.sleep(offsetMs)
  for (let second = 0; second < seconds; second++) {
    task.progress(second, seconds, { message: `sent ${String(Date.now())}` })
    await task.sleep(1000)
  }
})

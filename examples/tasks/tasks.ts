import { Lovage } from 'lovage'
import { z } from 'zod'

export const app = new Lovage('mysite')

export const add = app.task('core.tasks.add', (_task, x: number, y: number) => x + y)

const seconds = z.coerce.number<number | string>().int().nonnegative()

export const loop = app.task('core.tasks.loop', { args: z.tuple([seconds]) }, async (task, total) => {
  for (let i = 0; i < total; i++) {
    task.progress(i, total)
    await task.sleep(1000)
  }
  return { current: total, total }
})

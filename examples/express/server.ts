// node server.ts, with `lovage worker ../tasks/tasks.ts` beside it on the same LOVAGE_BROKER_URL or working folder.
import express from 'express'
import { taskRoutes } from 'lovage/web'
import { toNodeHandler } from 'lovage/web/node'
import { app as tasks, loop } from '../tasks/tasks.ts'

const routes = taskRoutes(tasks)
const app = express()

app.use('/tasks', toNodeHandler(routes))

app.get('/', (_request, response) => {
  response.send(`<!doctype html><html lang="en"><title>Lovage and Express</title>
    <form method="post" action="/count"><label>Seconds <input name="seconds" value="5"></label> <button>Count</button></form>`)
})

app.post('/count', express.urlencoded({ extended: false, limit: '16kb' }), async (request, response) => {
  const { seconds } = request.body as { seconds?: string }
  if (!seconds) return void response.status(400).send('How many seconds?')
  const result = await loop.delay(seconds)
  const handle = routes.handle(result, { allow: ['read', 'result', 'revoke'] })
  response.status(202).send(`<!doctype html><html lang="en"><title>Counting</title>
    <script type="module" src="/tasks/lovage.js"></script>
    <lovage-task handle="${handle}" state="PENDING"></lovage-task>`)
})

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const address = server.address()
  console.log(`http://127.0.0.1:${String(typeof address === 'object' ? address?.port : address)}/`)
})

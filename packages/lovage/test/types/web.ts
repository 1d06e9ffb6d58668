/** The web part of the public types, as users write it. */
import { Lovage, unchecked, type AsyncResult, type TaskHandle } from 'lovage'
import {
  taskRoutes,
  tutorialStatus,
  type ListHandle,
  type Permission,
  type PublicSnapshot,
  type TaskRoutes,
} from 'lovage/web'
import { toNodeHandler } from 'lovage/web/node'
import { createServer } from 'node:http'
import { expectTypeOf } from 'expect-type'

const app = new Lovage('mysite')
const resize = app.task(
  'images.resize',
  { kwargs: unchecked<{ url: string }>(), states: { ENCODING: unchecked<{ frame: number }>() }, result: 'private' },
  async (_task, { url }) => url,
)
const result = await resize.delay({ url: 'https://a' })

export const routes: TaskRoutes = taskRoutes(app, {
  authorize: (request, task) => request.headers.get('x-user') === task.owner && ['read', 'revoke'],
})
export const GET: (request: Request) => Promise<Response> = routes.fetch
expectTypeOf(routes.handle(result)).toEqualTypeOf<TaskHandle<string, { ENCODING: { frame: number } }>>()
expectTypeOf(routes.handle(app.result<typeof resize>('id'), { allow: ['read'] })).toEqualTypeOf<
  TaskHandle<string, { ENCODING: { frame: number } }>
>()
expectTypeOf(routes.listHandle({ owner: 'ada' })).toEqualTypeOf<ListHandle>()
const plain: string = routes.handle(result)
const { fetch } = routes
createServer(toNodeHandler(routes))
taskRoutes(app, { secret: process.env['SECRET'], basePath: undefined })
taskRoutes(app, { authorize: async () => true })
void [plain, fetch]

// @ts-expect-error not a permission
routes.handle(result, { allow: ['write'] })
// @ts-expect-error a result, not its id
routes.handle(result.id)
// @ts-expect-error one of the two
routes.listHandle({ owner: 'ada', tag: 'red' })
// @ts-expect-error neither
routes.listHandle({})
// @ts-expect-error not a list of permissions
taskRoutes(app, { authorize: () => ['write'] })
// @ts-expect-error a task defined here says what it returns by its handler
app.task('w', { result: unchecked<string>() }, () => 'x')

const known: AsyncResult = result
const snapshot = await known.snapshot()
if (snapshot !== undefined) expectTypeOf(tutorialStatus(snapshot).progression).toEqualTypeOf<number | 'None'>()

export function show(shown: PublicSnapshot<string, { ENCODING: { frame: number } }>): string {
  expectTypeOf(shown.can).toEqualTypeOf<readonly Permission[]>()
  expectTypeOf(shown.version[0]).toEqualTypeOf<0 | 1>()
  switch (shown.state) {
    case 'SUCCESS':
      return shown.result
    case 'FAILURE':
    case 'RETRY':
      return shown.error.reference
    case 'REVOKED':
      return shown.reason
    case 'PROGRESS':
      return String(shown.progress.current)
    case 'ENCODING':
      return String(shown.meta.frame)
    case 'PENDING':
    case 'RECEIVED':
    case 'STARTED':
      return shown.state
    default:
      return shown satisfies never
  }
}

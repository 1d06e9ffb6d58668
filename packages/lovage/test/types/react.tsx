import { expectTypeOf } from 'expect-type'
import { type AsyncResult, Lovage, type TaskHandle, unchecked } from '../../src/index.ts'
import { TaskProvider, useTask, useTasks } from '../../src/react/index.ts'
import { createTaskClient, type LovageTaskElement } from '../../src/web/client/index.ts'
import type { PublicSnapshot } from '../../src/web/contract.ts'

const app = new Lovage('mysite')
const resize = app.task(
  'images.resize',
  { args: unchecked<[url: string]>(), states: { ENCODING: unchecked<{ frame: number }>() } },
  (task, url) => {
    task.updateState('ENCODING', { frame: 1 })
    return url
  },
)
const loop = app.task('core.tasks.loop', (_task, seconds: number) => ({ current: seconds, total: seconds }))

type Handle = TaskHandle<string, { ENCODING: { frame: number } }>

declare function mint<T, St extends Readonly<Record<string, unknown>>>(result: AsyncResult<T, St>): TaskHandle<T, St>
export const handle: Promise<Handle> = resize.delay('https://a').then(mint)

export function Row(props: { handle: Handle; plain: string | null }) {
  const { snapshot, link } = useTask(props.handle)
  const other = useTask<typeof loop>(props.plain)
  if (snapshot?.state === 'ENCODING') return <p>frame {snapshot.meta.frame}</p>
  if (snapshot?.state === 'RETRY') expectTypeOf(snapshot.retryAt).toEqualTypeOf<string>()
  if (snapshot?.ready) expectTypeOf(snapshot.state).toEqualTypeOf<'SUCCESS' | 'FAILURE' | 'REVOKED'>()
  // @ts-expect-error not a state of this task
  if (snapshot?.state === 'ENCODIN') return null
  if (other.snapshot?.state === 'SUCCESS') return <p>{other.snapshot.result.total}</p>
  return snapshot?.state === 'SUCCESS' ? <a href={snapshot.result}>Download</a> : <p>{link}</p>
}

export function Rows(props: { handles: readonly Handle[] }) {
  const views = useTasks(props.handles)
  expectTypeOf(views[0]?.snapshot).toEqualTypeOf<PublicSnapshot<string, { ENCODING: { frame: number } }> | undefined>()
  expectTypeOf(useTask(undefined).link).toEqualTypeOf<
    'connecting' | 'live' | 'polling' | 'reconnecting' | 'closed' | 'gone'
  >()
  return (
    <TaskProvider basePath="/api/tasks">
      {views.map(({ link }) => link)}
      <lovage-task handle={props.handles[0]} label="Export" />
      <lovage-tasks handle="owner:ann" />
    </TaskProvider>
  )
}

const client = createTaskClient({ basePath: '/api/tasks' })
client.subscribe('h' as Handle, snapshot => {
  if (snapshot.state === 'SUCCESS') expectTypeOf(snapshot.result).toEqualTypeOf<string>()
})
expectTypeOf(document.createElement('lovage-task')).toEqualTypeOf<LovageTaskElement>()
document.addEventListener('lovage-ready', event => {
  expectTypeOf(event.detail.ready).toEqualTypeOf<true>()
})

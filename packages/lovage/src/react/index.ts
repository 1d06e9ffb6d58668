'use client'
/** `lovage/react`: the hook over the browser client, typed by its handle. Safe to render on a server. */
import {
  createContext,
  createElement,
  type DetailedHTMLProps,
  type HTMLAttributes,
  type ReactElement,
  type ReactNode,
  useContext,
  useMemo,
  useSyncExternalStore,
} from 'react'
import type { AnyTask, ResultOf, States, StatesOf, TaskHandle } from '../app/types.ts'
import type { PublicSnapshot } from '../web/contract.ts'
import type { LovageTaskElement, LovageTasksElement } from '../web/client/elements.ts'
import { createTaskClient, type HandleView, type LinkState, type TaskClient } from '../web/client/task-client.ts'

export type { LinkState }

/** What JSX takes for the elements: their own attributes and every element's. */
export type ElementProps<E extends HTMLElement> = DetailedHTMLProps<HTMLAttributes<E>, E> & {
  readonly handle?: string | undefined
  readonly label?: string | undefined
}

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'lovage-task': ElementProps<LovageTaskElement>
      'lovage-tasks': ElementProps<LovageTasksElement>
    }
  }
}

export interface TaskView<T, St extends States> {
  readonly snapshot: PublicSnapshot<T, St> | undefined
  /** The connection, not the task. */
  readonly link: LinkState
  /** @throws {TaskRequestError} the server did not take the request. Nothing happens without a handle. */
  readonly revoke: () => Promise<void>
}

type Maybe<H> = H | null | undefined
type AnyView = TaskView<unknown, States>

const Client = createContext<TaskClient>(createTaskClient())

/** Where the routes are; needed only when they are not under /tasks. */
export function TaskProvider(props: { readonly basePath: string; readonly children: ReactNode }): ReactElement {
  const client = useMemo(() => createTaskClient({ basePath: props.basePath }), [props.basePath])
  return createElement(Client.Provider, { value: client }, props.children)
}

/** Types come from the handle: `useTask(await startExport())`. */
export function useTask<T, St extends States>(handle: Maybe<TaskHandle<T, St>>): TaskView<T, St>
/** …or from the task, for a handle that came as plain JSON: `useTask<typeof exportOrders>(json.handle)`. */
export function useTask<K extends AnyTask>(handle: Maybe<string>): TaskView<ResultOf<K>, StatesOf<K>>
export function useTask(handle: Maybe<string>): AnyView {
  const views = useViews(handle === null || handle === undefined ? [] : [handle])
  return views[0] ?? idle
}

/** One view for each handle, in their order. */
export function useTasks<T, St extends States>(handles: readonly TaskHandle<T, St>[]): readonly TaskView<T, St>[]
export function useTasks<K extends AnyTask>(handles: readonly string[]): readonly TaskView<ResultOf<K>, StatesOf<K>>[]
export function useTasks(handles: readonly string[]): readonly AnyView[] {
  return useViews(handles)
}

function useViews(handles: readonly string[]): readonly AnyView[] {
  const client = useContext(Client)
  const key = handles.join('\n')
  // a new array of the same handles is not a change
  const source = useMemo(() => createSource(client, key === '' ? [] : key.split('\n')), [client, key])
  return useSyncExternalStore(source.subscribe, source.views, source.serverViews)
}

/** What React compares by identity: the same array, of the same views, until one of them changes. */
function createSource(
  client: TaskClient,
  handles: readonly string[],
): {
  readonly subscribe: (onChange: () => void) => () => void
  readonly views: () => readonly AnyView[]
  readonly serverViews: () => readonly AnyView[]
} {
  let seen: readonly HandleView[] = []
  let views: readonly AnyView[] = []
  const revokes = handles.map(handle => () => client.revoke(handle))
  const onServer = revokes.map(revoke => ({ snapshot: undefined, link: 'connecting' as const, revoke }))

  return {
    subscribe(onChange) {
      const ends = handles.map(handle => client.watch(handle, onChange))
      return () => ends.forEach(end => end())
    },
    views() {
      const now = handles.map(handle => client.view(handle))
      if (now.length !== seen.length || now.some((view, index) => view !== seen[index])) {
        views = now.map((view, index) => (view === seen[index] ? views[index] : undefined) ?? toView(view, index))
        seen = now
      }
      return views
    },
    serverViews: () => onServer,
  }

  function toView({ snapshot, link }: HandleView, index: number): AnyView {
    return { snapshot, link, revoke: revokes[index] ?? nothing }
  }
}

const nothing = (): Promise<void> => Promise.resolve()
const idle: AnyView = { snapshot: undefined, link: 'connecting', revoke: nothing }

/**
 * `<lovage-task>` and `<lovage-tasks>`: light DOM, so that the page's own styles and scripts reach everything. Importing
 * this file needs no browser, defining the elements does.
 */
import type { AnyStates, PublicSnapshot } from '../contract.ts'
import type { Messages } from './messages.ts'
import { createElementKit, type ElementKit, type Mounted, mountTask, mountTasks } from './mount.ts'
import { createTaskClient, type TaskClient } from './task-client.ts'

export interface LovageTaskElement extends HTMLElement {
  handle: string
  /** The accessible name; the task's title when empty. */
  label: string
  /** Reflected as the attribute `state`, for CSS. */
  readonly state: string | undefined
  readonly snapshot: PublicSnapshot<unknown, AnyStates> | undefined
}

export interface LovageTasksElement extends HTMLElement {
  /** Of a list: `owner:…` or `tag:…`. */
  handle: string
  /** The table's caption. */
  label: string
}

export interface LovageTaskEventMap {
  'lovage-update': CustomEvent<PublicSnapshot>
  'lovage-ready': CustomEvent<Extract<PublicSnapshot, { ready: true }>>
}

declare global {
  interface HTMLElementTagNameMap {
    'lovage-task': LovageTaskElement
    'lovage-tasks': LovageTasksElement
  }
  interface HTMLElementEventMap extends LovageTaskEventMap {}
  interface DocumentEventMap extends LovageTaskEventMap {}
}

export interface DefineElementsOptions {
  /** @default a client of their own, with the routes under '/tasks' */
  readonly client?: TaskClient | undefined
  /** A translation, or a part of one: what is missing stays English. */
  readonly messages?: Partial<Messages> | undefined
}

/** Defines both elements. Nothing happens when the page has them already. */
export function defineElements(options: DefineElementsOptions = {}): void {
  if (customElements.get('lovage-task') !== undefined) return
  const kit = createElementKit(options.client ?? createTaskClient(), options.messages)
  defineOne('lovage-task', kit, mountTask)
  defineOne('lovage-tasks', kit, mountTasks)
}

function defineOne(name: string, kit: ElementKit, mount: (element: HTMLElement, kit: ElementKit) => Mounted): void {
  class TaskElement extends HTMLElement implements LovageTaskElement {
    static readonly observedAttributes: readonly string[] = ['handle', 'label']
    /** Empty while it is outside the page. */
    #mounted: Mounted | undefined

    get handle(): string {
      return this.getAttribute('handle') ?? ''
    }
    set handle(handle: string) {
      this.setAttribute('handle', handle)
    }
    get label(): string {
      return this.getAttribute('label') ?? ''
    }
    set label(label: string) {
      this.setAttribute('label', label)
    }
    get state(): string | undefined {
      return this.snapshot?.state
    }
    get snapshot(): PublicSnapshot | undefined {
      return kit.client.view(this.handle).snapshot
    }

    connectedCallback(): void {
      adoptProperties(this)
      this.#mounted ??= mount(this, kit)
    }

    disconnectedCallback(): void {
      this.#mounted?.end()
      this.#mounted = undefined
    }

    attributeChangedCallback(attribute: string, before: string | null, after: string | null): void {
      if (this.#mounted === undefined || before === after) return
      if (attribute === 'label') return this.#mounted.redraw()
      this.#mounted.end()
      this.#mounted = mount(this, kit)
    }
  }
  customElements.define(name, TaskElement)
}

/** What a script set before the element was defined hides the accessors: hand it to them. */
function adoptProperties(element: LovageTasksElement): void {
  for (const name of ['handle', 'label'] as const) {
    if (!Object.hasOwn(element, name)) continue
    const value = element[name]
    // oxlint-disable-next-line typescript/no-dynamic-delete
    delete (element as Partial<Record<typeof name, string>>)[name]
    element[name] = value
  }
}

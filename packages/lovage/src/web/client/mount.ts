/**
 * Keeps what an element shows in step with the client. Events go out at once, drawing waits for the next frame: a
 * hidden page tells its scripts what happens and draws nothing.
 */
import { type Announcer, createAnnouncer } from './announcer.ts'
import { createFormats, type Formats } from './formats.ts'
import { browserClock } from './host.ts'
import { english, type Messages } from './messages.ts'
import { make, setText } from './panel.ts'
import type { Shown } from './reducer.ts'
import { createRow, type Row } from './row.ts'
import { css } from './styles.ts'
import type { HandleView, TaskClient } from './task-client.ts'

export interface ElementKit {
  readonly client: TaskClient
  readonly messages: Messages
  readonly announcer: Announcer
  readonly sheet: CSSStyleSheet
}

export interface Mounted {
  /** Draws again in the next frame. */
  redraw(): void
  end(): void
}

export function createElementKit(client: TaskClient, messages: Partial<Messages> = {}): ElementKit {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(css)
  return { client, messages: { ...english, ...messages }, announcer: createAnnouncer(browserClock), sheet }
}

/** `<lovage-task>`. Children are what was shown until now; those with `data-keep` stay, below. */
export function mountTask(element: HTMLElement, kit: ElementKit): Mounted {
  const handle = element.getAttribute('handle') ?? ''
  const formats = prepare(element, kit)
  const row = createRow({ kit, formats, revoke: () => kit.client.revoke(handle), redraw: () => mounted.redraw() })
  const head = make('div', 'head', row.panel.title, row.panel.state)
  element.replaceChildren(head, ...row.panel.body, ...element.querySelectorAll(':scope>[data-keep]'))
  // the page was made by the request that sent the task, and says so
  if (element.getAttribute('state') === 'PENDING') kit.client.accepted(handle)
  const mounted = keepDrawn(element, kit.client, view =>
    row.draw(view.tasks[0], view, element.getAttribute('label') ?? ''),
  )
  return mounted
}

/** `<lovage-tasks>`: a table of all that a list handle leads to. */
export function mountTasks(element: HTMLElement, kit: ElementKit): Mounted {
  const handle = element.getAttribute('handle') ?? ''
  const formats = prepare(element, kit)
  const { messages } = kit
  const table = make('table', 'table')
  const caption = table.createCaption()
  table.createTHead().insertRow().append(heading('col', messages.task), heading('col', messages.progress))
  const body = table.createTBody()
  const note = make('p', 'note')
  element.replaceChildren(table, note)
  const rows = new Map<string, Row & { readonly root: HTMLElement }>()
  const mounted = keepDrawn(element, kit.client, draw)
  return mounted

  function draw(view: HandleView): boolean {
    setText(caption, element.getAttribute('label') ?? messages.tasks)
    setText(note, noteOf(view))
    const isTicking = view.tasks.map(task => rowFor(task).draw(task, view, '')).includes(true)
    const ids = new Set(view.tasks.map(({ snapshot }) => snapshot.id))
    for (const [id, { root }] of rows) if (!ids.has(id) && rows.delete(id)) root.remove()
    return isTicking
  }

  function noteOf({ gone, tasks, link }: HandleView): string {
    if (gone !== undefined) return messages[gone]
    if (tasks.length > 0) return ''
    return link === 'live' ? messages.noTasks : messages.connecting
  }

  function rowFor({ snapshot: { id, queuedAt = '' } }: Shown): Row {
    const known = rows.get(id)
    if (known !== undefined) return known
    const revoke = (): Promise<void> => kit.client.revoke(handle, { id })
    const row = createRow({ kit, formats, revoke, redraw: () => mounted.redraw() })
    const root = make('tr', 'row', heading('row', row.panel.title, row.panel.state))
    const cell = make('td', 'cell', ...row.panel.body)
    cell.role = 'cell'
    root.append(cell)
    root.dataset['at'] = queuedAt
    // newest first; one that is there never moves, so that neither the eye nor the focus loses it
    body.insertBefore(root, [...body.rows].find(other => (other.dataset['at'] ?? '') < queuedAt) ?? null)
    rows.set(id, { ...row, root })
    return row
  }
}

function heading(scope: string, ...children: (Node | string)[]): HTMLElement {
  const cell = make('th', 'heading', ...children)
  cell.scope = scope
  // said outright, because narrow pages lay cells out as blocks, and some browsers then forget what they are
  cell.role = `${scope === 'col' ? 'column' : scope}header`
  return cell
}

function prepare(element: HTMLElement, { sheet, messages: { language } }: ElementKit): Formats {
  const { adoptedStyleSheets } = element.getRootNode() as Document | ShadowRoot
  if (!adoptedStyleSheets.includes(sheet)) adoptedStyleSheets.push(sheet)
  const ofPage = element.closest<HTMLElement>('[lang]')?.lang ?? ''
  // German numbers in an English sentence would be neither
  return createFormats(ofPage.split('-')[0] === language ? ofPage : language)
}

/** @param draw returns whether it wants to be called again in a second. */
function keepDrawn(element: HTMLElement, client: TaskClient, draw: (view: HandleView) => boolean): Mounted {
  const handle = element.getAttribute('handle') ?? ''
  let told: readonly Shown[] = []
  let frame = 0
  let tick: { cancel(): void } | undefined
  const unwatch = handle === '' ? undefined : client.watch(handle, onChange)
  onChange()
  drawNow()
  return { redraw, end }

  function onChange(): void {
    const { tasks, link, snapshot } = client.view(handle)
    const before = told
    told = tasks
    element.setAttribute('link', link)
    if (snapshot !== undefined && element.localName === 'lovage-task') element.setAttribute('state', snapshot.state)
    for (const { snapshot: detail } of tasks.filter(task => !before.includes(task))) {
      element.dispatchEvent(new CustomEvent('lovage-update', { detail, bubbles: true }))
      if (detail.ready) element.dispatchEvent(new CustomEvent('lovage-ready', { detail, bubbles: true }))
    }
    redraw()
  }

  function redraw(): void {
    if (frame === 0) frame = requestAnimationFrame(drawNow)
  }

  function drawNow(): void {
    frame = 0
    tick?.cancel()
    if (draw(client.view(handle))) tick = browserClock.after(1000, redraw)
  }

  function end(): void {
    unwatch?.()
    cancelAnimationFrame(frame)
    tick?.cancel()
  }
}

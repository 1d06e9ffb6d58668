/** The parts that show one task, in an element of its own or in a row. Text goes into text nodes only. */
import type { Words } from './words.ts'

export interface Panel {
  readonly title: HTMLElement
  readonly state: HTMLElement
  /** The rest: bar, figures, button, notes. */
  readonly body: readonly HTMLElement[]
  update(words: Words): void
}

/** Strokes in a square of 16. */
const icons: Readonly<Record<Words['kind'], string>> = {
  waiting: 'M8 4v4l2.5 2M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0',
  running: 'M5 3.5 12 8l-7 4.5z',
  retrying: 'M13.5 8A5.5 5.5 0 1 1 11.5 3.7M13.5 2v3.5H10',
  done: 'm3 8.5 3.5 3.5L13 4.5',
  failed: 'M8 3v6M8 12.5v.1',
  stopped: 'M4 4h8v8H4z',
  gone: 'M5.5 6a2.5 2.5 0 1 1 3.6 2.2C8.3 8.6 8 9 8 10M8 13v.1',
}

export function createPanel(onCancel: () => void): Panel {
  const title = make('span', 'title')
  // titles and messages come from anywhere: each has a direction of its own
  title.dir = 'auto'
  const icon = makeIcon()
  const word = document.createElement('span')
  const state = make('span', 'state', icon.parentNode ?? icon, word)
  const fill = make('div', 'fill')
  const bar = make('div', 'bar', fill)
  bar.role = 'progressbar'
  const percent = make('span', 'percent')
  const detail = make('span', 'detail')
  detail.dir = 'auto'
  const left = make('span', 'left')
  const cancel = make('button', 'cancel')
  cancel.type = 'button'
  cancel.addEventListener('click', () => cancel.ariaDisabled !== 'true' && onCancel())
  const note = make('p', 'note')
  const errorText = document.createElement('span')
  errorText.dir = 'auto'
  const reference = make('span', 'reference')
  const error = make('p', 'error')
  const foot = make('div', 'foot', percent, detail, make('span', 'end', left, cancel))

  return { title, state, body: [bar, foot, note, error], update }

  function update(words: Words): void {
    setText(title, words.title)
    setText(word, words.state)
    state.dataset['kind'] = bar.dataset['kind'] = words.kind
    icon.setAttribute('d', icons[words.kind])
    updateBar(words)
    setText(percent, words.percentText)
    setText(detail, words.detail)
    setText(left, words.remaining)
    setText(note, words.note)
    setText(errorText, words.error)
    setText(reference, words.reference)
    error.replaceChildren(...(words.error === '' ? [] : [errorText, reference]))
    updateCancel(words)
    foot.hidden = !words.canCancel && words.percentText + words.detail === ''
  }

  function updateBar({ hasBar, isMoving, percent: value, title: name, valueText }: Words): void {
    bar.hidden = !hasBar
    bar.ariaLabel = name
    bar.ariaValueText = valueText
    bar.ariaValueNow = value === undefined ? null : String(Math.floor(value))
    fill.style.inlineSize = isMoving ? '' : `${String(value ?? 0)}%`
    fill.toggleAttribute('data-moving', isMoving)
  }

  function updateCancel({ canCancel, isCancelling, cancelText, cancelLabel }: Words): void {
    // a button that vanishes under the focus would throw a keyboard back to the top of the page
    if (!canCancel && document.activeElement === cancel) focusInstead(title)
    cancel.hidden = !canCancel
    cancel.ariaDisabled = String(isCancelling)
    setText(cancel, cancelText)
    cancel.ariaLabel = cancelLabel
  }
}

export function make<Name extends 'div' | 'span' | 'p' | 'button' | 'table' | 'tr' | 'th' | 'td'>(
  tag: Name,
  part: string,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(tag)
  element.className = `lovage-${part}`
  element.append(...children)
  return element
}

/** Only where it changes: a screen reader, a selection and the layout are left alone. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

function focusInstead(element: HTMLElement): void {
  element.tabIndex = -1
  element.focus()
}

function makeIcon(): SVGPathElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 16 16')
  svg.ariaHidden = 'true'
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  svg.append(path)
  return path
}

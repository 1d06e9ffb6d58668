/** A page of React, put together by the test that opens it. */
import { createElement, type ReactNode, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { useTask, useTasks } from '../../../src/react/index.ts'

const counts = { renders: 0 }

function Rows(): ReactNode {
  counts.renders += 1
  const { revoke } = useTask('one')
  // a new array each time, as people write it
  const views = useTasks(['one', 'two'])
  const lines = views.map(({ snapshot, link }) => [snapshot?.id, snapshot?.state, snapshot?.progress?.percent, link])
  const text = lines.map(parts => parts.filter(part => part !== undefined).join(' ')).join('; ')
  return createElement('p', {}, text, createElement('button', { onClick: () => void revoke() }, 'Stop'))
}

const root = createRoot(document.querySelector('#app') as HTMLElement)
root.render(createElement(StrictMode, {}, createElement(Rows)))

Object.defineProperty(globalThis, 'renders', { get: () => counts.renders })
Object.assign(globalThis, { unmount: () => root.unmount() })

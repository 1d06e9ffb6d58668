'use client'
import { useState } from 'react'
import { useTask } from 'lovage/react'
import { count } from './actions.ts'

export default function Page() {
  const [handle, setHandle] = useState<Awaited<ReturnType<typeof count>>>()
  const { snapshot, revoke } = useTask(handle)
  return (
    <main>
      <button onClick={() => void count(5).then(setHandle)}>Count to 5</button>
      <progress aria-label="Counting" max={100} value={snapshot?.ready ? 100 : (snapshot?.progress?.percent ?? 0)} />
      <p role="status">{snapshot?.state === 'SUCCESS' ? `Counted to ${snapshot.result.total}` : snapshot?.state}</p>
      {snapshot?.ready === false && <button onClick={() => void revoke()}>Cancel</button>}
    </main>
  )
}

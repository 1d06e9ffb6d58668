import { describe, expect, it, onTestFinished, vi } from 'vitest'

/** This package once more in the same process, as frameworks and hot reload have it. */
async function loadCopy() {
  vi.resetModules()
  const [{ Lovage, currentTask, UnsupportedError }, { internals, isApp }] = await Promise.all([
    import('../../../src/index.ts'),
    import('../../../src/app/internals.ts'),
  ])
  return { Lovage, currentTask, UnsupportedError, internals, isApp }
}

describe('two copies of the package in one process', () => {
  it('share one connection, the current task, and know each other’s apps', async () => {
    const [one, two] = [await loadCopy(), await loadCopy()]
    expect(one.Lovage).not.toBe(two.Lovage)
    const options = { brokerUrl: 'memory://two-copies' }
    const [first, second] = [new one.Lovage('app', options), new two.Lovage('app', options)]
    onTestFinished(async () => void (await Promise.all([first.close(), second.close()])))
    const { id } = await first.sendTask('t')
    expect(await second.result(id).state()).toBe('PENDING')
    expect((await one.internals(second).backend()).broker).toBe((await two.internals(first).backend()).broker)
    expect(one.isApp(second)).toBe(true)
    const task = first.task('t', () => two.currentTask()?.request.name)
    expect(await task.run()).toBe('t')
  })

  it('know each other’s errors', async () => {
    const [one, two] = [await loadCopy(), await loadCopy()]
    await expect(new one.Lovage('app', { brokerUrl: 'redis://h' }).sendTask('t')).rejects.toBeInstanceOf(
      two.UnsupportedError,
    )
  })
})

import type { Reporter, TestModule } from 'vitest/node'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/**
 * Makes the last line of a run `N passed, N failed` or `N passed, N failed, N skipped`, plain and
 * alone, so that anything can read it. Printed when the process ends, because other reporters and
 * Vitest itself still write after the run does. With `MUST_TEST=1` a run in which no test was
 * run at all, as after a slip in a filter, exits with 1.
 */
export default function countsReporter(): Reporter {
  return {
    onTestRunEnd(modules, unhandledErrors) {
      const counts = countTests(modules)
      counts.failed += unhandledErrors.length
      const isVoid = process.env['MUST_TEST'] === '1' && counts.passed + counts.failed === 0
      process.once('exit', () => {
        if (isVoid) process.exitCode = 1
        process.stdout.write(`${isVoid ? 'No test was run: that proves nothing.\n' : ''}${describeCounts(counts)}\n`)
      })
    },
  }
}

export function describeCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function countTests(modules: readonly TestModule[]): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const module of modules) {
    const failedBefore = counts.failed
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state !== 'pending') counts[state]++
    }
    // a file that does not load, or a hook that throws, fails without a failed test
    if (!module.ok() && counts.failed === failedBefore) counts.failed++
  }
  return counts
}

import { availableParallelism } from 'node:os'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'

const folders = ['unit', 'docs', 'fuzz', 'simulation', 'conformance', 'interop', 'faults', 'browser']

export default defineConfig({
  test: {
    reporters: ['default', './test-support/counts-reporter.ts'],
    // most of the time of most tests passes in waiting for other processes
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // an end for what hangs, no measure of speed
    testTimeout: 20_000,
    hookTimeout: 30_000,
    globalSetup: './test-support/rabbitmq-global.ts',
    projects: [...folders.map(name => project(name, `packages/lovage/test/${name}`)), project('chaos', 'chaos/test')],
  },
})

function project(name: string, folder: string): TestProjectConfiguration {
  return { extends: true, test: { name, include: [`${folder}/**/*.test.ts`], environment: 'node' } }
}

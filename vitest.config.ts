import { defineConfig } from 'vitest/config'

const folders = ['unit', 'docs', 'fuzz', 'simulation', 'conformance', 'interop', 'faults', 'browser']

export default defineConfig({
  test: {
    reporters: ['default', './test-support/counts-reporter.ts'],
    globalSetup: './test-support/rabbitmq-global.ts',
    projects: folders.map(name => ({
      extends: true,
      test: { name, include: [`packages/lovage/test/${name}/**/*.test.ts`], environment: 'node' },
    })),
  },
})

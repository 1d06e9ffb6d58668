/** One policy bounds the results: in the documentation, and of the brokers for development. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { readPage, root } from './support/pages.ts'

const { policies } = JSON.parse(readFileSync(new URL('scripts/rabbitmq/definitions.json', root), 'utf8')) as {
  readonly policies: readonly unknown[]
}

it.each(['docs/rabbitmq.md', 'docs/rpc.md'])('%s has the policy of the brokers for development', path => {
  const command = /set_policy (?:-p \/ )?(lovage-results) '(\S+)' \\\n +'(\S+)' --apply-to (\S+)/
  const [, name, pattern, definition = '{}', applyTo] = command.exec(readPage(path).text) ?? []
  const told = { vhost: '/', name, pattern, 'apply-to': applyTo, priority: 0, definition: JSON.parse(definition) }
  expect(policies).toEqual([told])
})

it('compose.yaml has its broker read it', () => {
  const [, path] =
    /^load_definitions = (\S+)$/m.exec(readFileSync(new URL('scripts/rabbitmq/definitions.conf', root), 'utf8')) ?? []
  const compose = readFileSync(new URL('compose.yaml', root), 'utf8')
  expect(compose).toContain(`- ./scripts/rabbitmq/definitions.json:${path}:ro\n`)
  expect(compose).toMatch(/- \.\/scripts\/rabbitmq\/definitions\.conf:\/etc\/rabbitmq\/conf\.d\/\S+\.conf:ro\n/)
})

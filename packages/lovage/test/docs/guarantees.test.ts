import { describe, expect, it } from 'vitest'
import { commandsOf, driverUrls, openableDrivers, writeCapabilities, wrongCommand } from './support/guarantees-page.ts'
import { readPage, root } from './support/pages.ts'

describe('docs/guarantees.md', () => {
  const page = readPage('docs/guarantees.md')
  const commands = [...new Set(commandsOf(page.text))].map(command => ({ command }))

  // `npx vitest run --project docs -u` writes it anew
  it('says of each driver what the driver declares', async () => {
    await expect(await writeCapabilities(page.text)).toMatchFileSnapshot(new URL(page.path, root).pathname)
  })

  it('has every driver that a URL opens', () => {
    expect([...openableDrivers()].filter(name => driverUrls[name] === undefined)).toEqual([])
  })

  it.each(commands)('names a command that is there: $command', ({ command }) => {
    expect(wrongCommand(command)).toBeUndefined()
  })

  it('is told of a command that is not there', () => {
    expect(commands.length).toBeGreaterThan(20)
    expect(wrongCommand('npm run nothing')).toBe('there is no script nothing')
    expect(wrongCommand('npm run chaos -- --break nothing')).toBe('there is no seeded bug nothing')
    expect(wrongCommand('npx vitest run --project faults nothing')).toMatch(/matches nothing/)
    expect(wrongCommand('npx vitest run --project faults kills -t "no such title"')).toMatch(/called no such/)
  })
})

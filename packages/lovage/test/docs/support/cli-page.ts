import type { Command } from 'commander'

/** Every command with its subcommands, by its whole name: `lovage`, `lovage dead list`. */
export function commandsByName(program: Command): Map<string, Command> {
  const found = new Map<string, Command>()
  const add = (command: Command, name: string): void => {
    found.set(name, command)
    for (const child of command.commands) add(child, `${name} ${child.name()}`)
  }
  add(program, program.name())
  return found
}

/** The page with each part between `<!-- lovage … -->` and `<!-- end -->` written anew from the command's own help. */
export function regenerate(page: string, program: Command): string {
  const commands = commandsByName(program)
  return page.replaceAll(/(?<=<!-- (lovage[ \w]*) -->\n)[\s\S]*?(?=<!-- end -->)/g, (_, name: string) => {
    const command = commands.get(name)
    return command === undefined ? 'There is no such command.\n' : describe(command, name)
  })
}

function describe(command: Command, name: string): string {
  const rows = [
    ...command.registeredArguments.map(argument => {
      const shown = `${argument.name()}${argument.variadic ? '...' : ''}`
      const choices = argument.argChoices === undefined ? '' : `: ${argument.argChoices.join(', ')}`
      return [argument.required ? `<${shown}>` : `[${shown}]`, argument.description + choices, argument.defaultValue]
    }),
    ...command.options.map(({ flags, description, defaultValue }) => [flags, description, defaultValue]),
  ]
  const lines = rows.map(([flags, text, value]) => {
    const fallback = value === undefined ? '' : ` (default: ${String(value)})`
    return `| \`${String(flags)}\` | ${`${String(text)}${fallback}`.replaceAll('|', String.raw`\|`).replaceAll('<', '&lt;')} |`
  })
  const table = lines.length === 0 ? [] : ['', '| | |', '|---|---|', ...lines]
  return [`${command.description()}.`, '', '```', `${name} ${command.usage()}`, '```', ...table, ''].join('\n')
}

/** What is wrong with a line such as `lovage call name '[1]' --follow`; undefined: every verb and flag exists. */
export function wrongUse(line: string, program: Command): string | undefined {
  const words = line.split(/\s+(?=(?:[^']*'[^']*')*[^']*$)/).slice(1)
  let command = program
  for (const word of words) {
    const child = command.commands.find(each => each.name() === word)
    if (child !== undefined) command = child
    else if (word === '|' || word === '#') break
    else if (/^--?[a-z]/i.test(word)) {
      const known = [...command.options, ...program.options].some(({ short, long }) => word === short || word === long)
      if (!known && word !== '--help') return `${command.name()} has no ${word}`
    }
  }
  return command === program && !words.some(word => /^-(V|-version|-help)/.test(word)) ? 'no command' : undefined
}

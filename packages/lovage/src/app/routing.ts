/** Task name → queue. */

/**
 * An exact route goes first, then the patterns in the order written. `*` stands for any characters, `?` for one.
 * @returns undefined when no route fits.
 */
export function routeOf(taskName: string, routes: Readonly<Record<string, string>>): string | undefined {
  if (Object.hasOwn(routes, taskName)) return routes[taskName]
  for (const [pattern, queue] of Object.entries(routes))
    if (isGlob(pattern) && globRegExp(pattern).test(taskName)) return queue
  return undefined
}

function isGlob(pattern: string): boolean {
  return pattern.includes('*') || pattern.includes('?')
}

function globRegExp(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's')
}

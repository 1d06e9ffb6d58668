/**
 * TypeScript drops imports that only types use, unless told otherwise (`verbatimModuleSyntax`); Node, which only blanks
 * types out, keeps them, and linking fails: "does not provide an export named 'User'". This takes them out of code
 * whose types are gone. It stays on the safe side: only imports at the head of the file, only names that occur
 * nowhere else, comments and strings included; and every other character keeps its place.
 */

/** A comment, a directive, or an import with its clause; matched one after the other from the start. */
const headItem =
  /\s*(?:\/\/[^\n]*|\/\*[\s\S]*?\*\/|#![^\n]*|(['"])use [\w -]+\1;?|import\s*["'][^"']+["'][^;\n]*;?|(?<imported>import\s(?<clause>[^"'();]*?)\bfrom\s*["'][^"']+["'])[^;\n]*;?)/y

export function dropUnusedImports(code: string): string {
  const pattern = new RegExp(headItem)
  let result = code
  for (let match = pattern.exec(code); match !== null; match = pattern.exec(code)) {
    const { imported, clause } = match.groups ?? {}
    if (imported === undefined || clause === undefined) continue
    const start = match.index + match[0].indexOf(imported)
    const rest = code.slice(0, start) + code.slice(start + imported.length)
    const kept = withoutUnused({ imported, clause }, rest)
    result = result.slice(0, start) + kept + result.slice(start + imported.length)
  }
  return result
}

function withoutUnused({ imported, clause }: { imported: string; clause: string }, rest: string): string {
  const names = [...clause.replaceAll(/[\w$]+\s+as\s+/g, '').matchAll(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu)].map(
    ([name]) => name,
  )
  const unused = names.filter(name => !rest.includes(name))
  if (unused.length === 0) return imported
  if (unused.length === names.length) return blank(imported)
  return imported.replace(/\{[^}]*\}/, list =>
    list.replaceAll(/[^,{}]+,?/g, part => (isUnused(part, unused) ? blank(part) : part)),
  )
}

function isUnused(specifier: string, unused: readonly string[]): boolean {
  const local = /([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*,?\s*$/u.exec(specifier)?.[1]
  return local !== undefined && unused.includes(local)
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}

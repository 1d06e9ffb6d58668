/** Text from messages, fit for a terminal or a log: what steers terminals or turns lines around is shown, not obeyed. */

/** C0 (but tab and line feed), DEL and C1; the marks that change the direction of text; line and paragraph separators. */
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g

/** Such characters as `\u001b`, which leaves JSON valid JSON; tabs and line feeds stay. */
export function printable(text: string): string {
  return text.replaceAll(unsafe, escape)
}

/** The same on one line, cut to `width` characters. */
export function printableLine(text: string, width: number = Number.POSITIVE_INFINITY): string {
  const line = printable(text).replaceAll('\t', ' ').replaceAll('\n', '\\n')
  return line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

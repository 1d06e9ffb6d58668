/** Where the command line writes: standard output for what was asked, standard error for everything about it. */
import { createInterface } from 'node:readline/promises'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

export interface Terminal {
  /** Whether standard output can be redrawn: a terminal, and no CI. */
  readonly isLive: boolean
  readonly columns: number
  out(text: string): void
  err(text: string): void
  /** Overwrites the last line of standard output; only where `isLive`. */
  redraw(line: string): void
  readonly paint: (style: Style, text: string) => string
  /** Yes or no; undefined: there is nobody to ask. */
  confirm(question: string): Promise<boolean | undefined>
}

const codes: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 }

/** @param env NO_COLOR and FORCE_COLOR as everybody reads them; CI turns redrawing off. */
export function createTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const { stdout, stderr } = process
  const isSet = (name: string): boolean => (env[name] ?? '') !== ''
  const isLive = stdout.isTTY && !isSet('CI') && env['TERM'] !== 'dumb'
  const hasColor =
    !isSet('NO_COLOR') && (isSet('FORCE_COLOR') ? env['FORCE_COLOR'] !== '0' : stdout.isTTY && env['TERM'] !== 'dumb')
  return {
    isLive,
    get columns() {
      return stdout.columns ?? 80
    },
    out: text => void stdout.write(`${text}\n`),
    err: text => void stderr.write(`${text}\n`),
    redraw: line => void stdout.write(`\r\x1b[2K${line}`),
    paint: (style, text) => (hasColor ? `\x1b[${codes[style]}m${text}\x1b[0m` : text),
    confirm: question => (process.stdin.isTTY && stdout.isTTY ? askYesNo(question) : Promise.resolve(undefined)),
  }
}

async function askYesNo(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim())
  } finally {
    lines.close()
  }
}

/** Columns as wide as their widest cell, the last one as it is. Cells carry no colors; `paint` gets them padded. */
export function table(
  rows: readonly (readonly string[])[],
  paint?: (cell: string, column: number, row: number) => string,
): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map((cells, row) =>
    cells
      .map((cell, column) => {
        const padded = column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)
        return paint?.(padded, column, row) ?? padded
      })
      .join('  ')
      .trimEnd(),
  )
}

/**
 * Turns a project's TypeScript into what Node runs. Types are erased by Node's own stripper; what has to be
 * compiled (JSX, enums, parameter properties, decorators) goes through the esbuild that the project's `tsx` brings.
 */
import { readFileSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { extname, join } from 'node:path'
import { AppLoadError } from '../../core/errors.ts'
import type { ProjectConfig } from './tsconfig.ts'
import { dropUnusedImports } from './unused-imports.ts'

export interface Transformed {
  readonly format: 'module' | 'commonjs'
  readonly source: string
}

type Compile = (source: string, options: object) => { readonly code: string }

interface SourceFile {
  readonly file: string
  readonly text: string
  readonly format: 'module' | 'commonjs'
}

/** What Node's type stripping cannot do, and on which line it stands. */
interface Construct {
  readonly what: string
  readonly line: number
}

export class Transformer {
  readonly #projectRoot: string
  /** Looked for at the first file that needs it; null: the project has none. */
  #compile: Compile | null | undefined

  constructor(projectRoot: string) {
    this.#projectRoot = projectRoot
  }

  /**
   * @param isCommonJs what the nearest package.json says; a `.ts` written with `import` is a module all the same.
   * @param config where decorators and JSX are set up.
   * @throws {AppLoadError} it needs compiling and the project has no tsx, or it is no TypeScript at all.
   */
  transform(file: string, isCommonJs: boolean, config: ProjectConfig | undefined): Transformed {
    const text = readFileSync(file, 'utf8')
    const source: SourceFile = { file, text, format: formatOf(file, text, isCommonJs) }
    const erased = eraseTypes(source)
    if (typeof erased === 'string') return { format: source.format, source: withoutTypeImports(erased, config) }
    this.#compile ??= findCompiler(this.#projectRoot)
    if (this.#compile === null) throw needsTsx(source, erased, this.#projectRoot)
    return { format: source.format, source: compile(this.#compile, source, config) }
  }
}

function withoutTypeImports(code: string, config: ProjectConfig | undefined): string {
  return config?.compilerOptions['verbatimModuleSyntax'] === true ? code : dropUnusedImports(code)
}

function formatOf(file: string, text: string, isCommonJs: boolean): 'module' | 'commonjs' {
  if (file.endsWith('.mts')) return 'module'
  if (file.endsWith('.cts')) return 'commonjs'
  return isCommonJs && !hasModuleSyntax(text) ? 'commonjs' : 'module'
}

/** JavaScript, or the first thing that keeps it from being just that. */
function eraseTypes(source: SourceFile): string | Construct {
  if (/\.[jt]sx$/.test(source.file)) return { what: `JSX (${extname(source.file)})`, line: 1 }
  const decorator = findDecorator(source.text)
  if (decorator !== undefined) return decorator
  try {
    return stripTypeScriptTypes(source.text)
  } catch (error) {
    return unsupportedConstruct(source, error as NodeJS.ErrnoException)
  }
}

/** Node's errors say the line at the head of their stack, and the construct in words. */
function unsupportedConstruct(source: SourceFile, error: NodeJS.ErrnoException): Construct {
  const line = Number(/^:(\d+)/.exec(error.stack ?? '')?.[1] ?? 1)
  if (error.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return { what: error.message.replace(/^TypeScript /, '').replace(/ is not supported in .*$/, ''), line }
  }
  const excerpt = source.text.split('\n')[line - 1]?.trim() ?? ''
  throw new AppLoadError(`${source.file}:${line} has a syntax error: ${error.message}\n    ${excerpt}`, {
    cause: error,
    details: { file: source.file, line },
  })
}

/** Outside strings and comments an `@` can only be a decorator's. */
function findDecorator(text: string): Construct | undefined {
  if (!text.includes('@')) return undefined
  const match = /(?:^|[\s;{}(,)])@[\p{ID_Start}$_]/mu.exec(blankLiterals(text))
  return match === null ? undefined : { what: 'decorator', line: lineAt(text, match.index + match[0].indexOf('@')) }
}

function hasModuleSyntax(text: string): boolean {
  return /^[ \t]*(?:import[ \t\n]*["'{*\w$]|export[ \t]+[\w{*]|export[{*])/m.test(blankLiterals(text, 'comments'))
}

/** The text with comments, and unless told otherwise strings, replaced by spaces; every offset stays where it was. */
function blankLiterals(text: string, which: 'comments' | 'all' = 'all'): string {
  const literal = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`/g
  return text.replaceAll(literal, found =>
    which === 'comments' && !found.startsWith('/') ? found : found.replaceAll(/[^\n]/g, ' '),
  )
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** tsx is what people know and install; esbuild is the part of it that is needed, and projects with Vite have it too. */
function findCompiler(projectRoot: string): Compile | null {
  const fromProject = createRequire(join(projectRoot, 'package.json'))
  for (const find of [() => createRequire(fromProject.resolve('tsx/package.json')), () => fromProject]) {
    try {
      const esbuild = find()('esbuild') as { readonly transformSync: Compile }
      process.setSourceMapsEnabled(true)
      return esbuild.transformSync
    } catch {
      // not installed there
    }
  }
  return null
}

function compile(transformSync: Compile, source: SourceFile, config: ProjectConfig | undefined): string {
  const { code } = transformSync(source.text, {
    loader: 'tsx',
    ...(/\.[jt]sx$/.test(source.file) ? {} : { loader: 'ts' }),
    format: source.format === 'module' ? 'esm' : 'cjs',
    target: `node${process.versions.node}`,
    sourcefile: source.file,
    sourcemap: 'inline',
    keepNames: true,
    tsconfigRaw: { compilerOptions: runtimeOptions(config?.compilerOptions ?? {}) },
  })
  return code
}

/** `jsx: preserve` leaves the work to a bundler, and there is none here. */
function runtimeOptions(options: Readonly<Record<string, unknown>>): object {
  const { jsx = 'preserve', target: _target, ...rest } = options
  return { ...rest, jsx: jsx === 'preserve' ? 'react-jsx' : jsx }
}

function needsTsx({ file }: SourceFile, { what, line }: Construct, projectRoot: string): AppLoadError {
  return new AppLoadError(
    `${file}:${line} uses ${what}, which Node cannot run by itself. ` +
      `Lovage compiles it with tsx when the project has it: npm i -D tsx (in ${projectRoot})`,
    { details: { file, construct: what, line } },
  )
}

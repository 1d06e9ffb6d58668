import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeBlocks, root, type CodeBlock, type Page } from './pages.ts'

/** One page's TypeScript, laid out as a project of its own. */
export interface PageProject {
  readonly page: string
  readonly folder: string
  /** The file a worker is started with: its block says `worker`. */
  readonly workerFile: string | undefined
  /** Those to be run, in order: their blocks say `run`. */
  readonly programs: readonly Program[]
}

interface Program {
  readonly file: string
  /** What its comments say it prints, line by line: `console.log(x) // → 5`. */
  readonly prints: readonly string[]
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder in which every page is a project, beside the packages of this workspace. */
export function createProjects(pages: readonly Page[]): { readonly folder: string; readonly projects: PageProject[] } {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'lovage-docs-')))
  symlinkSync(fileURLToPath(new URL('node_modules', root)), join(folder, 'node_modules'), 'junction')
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: fileURLToPath(new URL('tsconfig.base.json', root)),
      compilerOptions: {
        lib: ['es2024', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'],
        noUnusedLocals: false,
        noUnusedParameters: false,
        typeRoots: ['./node_modules/@types'],
      },
      include: ['**/*.ts'],
    }),
  )
  return { folder, projects: pages.map(page => createProject(folder, page)).filter(({ isEmpty }) => !isEmpty) }
}

function createProject(parent: string, page: Page): PageProject & { readonly isEmpty: boolean } {
  const blocks = codeBlocks(page).filter(({ language }) => language === 'ts')
  const folder = join(parent, page.path.replaceAll(/\W/g, '-'))
  const files = blocks.map(block => ({ block, file: fileOf(block) }))
  write(join(folder, 'package.json'), '{ "type": "module", "private": true }')
  for (const { block, file } of files) write(join(folder, file), asModule(block.text))
  const runnable = files.filter(({ block }) => block.words.includes('run'))
  return {
    page: page.path,
    folder,
    workerFile: files.find(({ block }) => block.words.includes('worker'))?.file,
    programs: runnable.map(({ block, file }) => ({ file, prints: promisedLines(block.text) })),
    isEmpty: blocks.length === 0,
  }
}

/** The name its block gives it, else its line, so that an error points at the page. */
function fileOf({ words, line }: CodeBlock): string {
  return words.find(word => word.startsWith('file='))?.slice('file='.length) ?? `line-${line}.ts`
}

/** What is a module stays as it is, so that lines of errors are right; the rest may use `await` too. */
function asModule(text: string): string {
  return /^(import|export) /m.test(text) ? text : `${text}\nexport {}\n`
}

function promisedLines(text: string): string[] {
  return Array.from(text.matchAll(/\/\/ → (.*)$/gm), ([, line = '']) => line)
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

export function removeProjects(folder: string): void {
  // the link first: nothing behind it may be touched
  rmSync(join(folder, 'node_modules'), { force: true })
  rmSync(folder, { recursive: true, force: true })
}

export function run(command: readonly string[], cwd: string): Promise<Ended> {
  const child = start(command, cwd)
  let [stdout, stderr] = ['', '']
  child.stdout?.on('data', chunk => (stdout += String(chunk)))
  child.stderr?.on('data', chunk => (stderr += String(chunk)))
  return new Promise(resolve => child.on('close', code => resolve({ code, stdout, stderr })))
}

/** As the command line's: most of a start is compiling what was compiled before. */
const compileCache = join(tmpdir(), 'node-compile-cache')

/** Resolves when it says that it is ready. */
export function startWorker({ folder, workerFile = '' }: PageProject): Promise<ChildProcess> {
  const bin = fileURLToPath(new URL('packages/lovage/bin/lovage.js', root))
  const child = start([bin, 'worker', workerFile, '-c', '4'], folder, 'ipc')
  let said = ''
  child.stderr?.on('data', chunk => (said += String(chunk)))
  child.stdout?.resume()
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve(child))
    child.once('exit', code => reject(new Error(`The worker ended with ${String(code)}: ${said}`)))
  })
}

export function stop(child: ChildProcess): Promise<void> {
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  return gone
}

function start(command: readonly string[], cwd: string, channel?: 'ipc'): ChildProcess {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(LOVAGE|CELERY|VITEST)_?/.test(name)),
  )
  const stdio = ['ignore', 'pipe', 'pipe', ...(channel === undefined ? [] : [channel])] as const
  return spawn(process.execPath, command, {
    cwd,
    stdio: [...stdio],
    env: { ...env, NODE_ENV: 'test', NODE_COMPILE_CACHE: compileCache },
  })
}

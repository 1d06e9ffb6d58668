/**
 * Where a thread's entry stands: beside a module of ours. In a file of its own so that a bundler does not see it done: one
 * that does (Next.js's) copies the entry as it is, without what it imports. Bundled modules keep the address of their
 * source in `import.meta.url`, and from there it runs.
 */
export function siblingFile(moduleUrl: string, name: string): URL {
  const extension = /\.[cm]?[jt]s$/.exec(moduleUrl)?.[0] ?? '.js'
  return new URL(`./${name}${extension}`, moduleUrl)
}

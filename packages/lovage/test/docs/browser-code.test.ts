import { describe, expect, it } from 'vitest'
import { readSources } from './support/package-files.ts'

const isBrowserCode = (path: string): boolean => /^(web\/client\/|web\/contract\.ts$|react\/)/.test(path)
const sources = Object.entries(readSources()).filter(([path]) => isBrowserCode(path))
const code = sources.map(([path, text]) => [path, text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')] as const)

describe('the code that runs in a browser', () => {
  it('exists', () => {
    expect(sources.length).toBeGreaterThan(15)
  })

  it('imports types only from what is not for browsers', () => {
    const imports = code.flatMap(([path, text]) =>
      [...text.matchAll(/^import\s+(?!type\b)[^]*?from '([^']+)'/gm)].map(([, from]) => ({ path, from: from ?? '' })),
    )
    const isAllowed = ({ path, from }: { path: string; from: string }): boolean =>
      /^(\.\/|\.\.\/contract\.ts|\.\.\/web\/)/.test(from) || (path.startsWith('react/') && from === 'react')
    expect(imports.filter(line => !isAllowed(line))).toEqual([])
  })

  it('has no way to turn a text into HTML or code', () => {
    const sinks =
      /innerHTML|outerHTML|insertAdjacentHTML|setHTML|DOMParser|createContextualFragment|document\.write|\beval\b|new Function|srcdoc|dangerouslySet|setAttribute\('(on|href|src|style)/
    expect(code.filter(([, text]) => sinks.test(text)).map(([path]) => path)).toEqual([])
  })
})

import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { readEnvFiles } from '../../../src/cli/env.ts'
import { copyProject } from '../../fixtures/copy-project.ts'

test('.env.local wins over .env, a named file over both, what is set over all', () => {
  using project = copyProject()
  project.write('.env', 'A=env\nB=env\nC=env\nD=env\nE=env')
  project.write('.env.local', 'B=local\nC=local\nD=local')
  const named = project.write('deploy/staging.env', 'C="staging"\nD=staging')
  const env: NodeJS.ProcessEnv = { D: 'set', E: '' }
  const { files, sources } = readEnvFiles([project.root, project.root], [named], env)
  expect(env).toEqual({ A: 'env', B: 'local', C: 'staging', D: 'set', E: 'env' })
  const shown = (path: string): string => relative(process.cwd(), join(project.root, path))
  expect(files).toEqual(['.env', '.env.local', 'deploy/staging.env'].map(shown))
  expect(sources).toEqual({
    A: shown('.env'),
    B: shown('.env.local'),
    C: shown('deploy/staging.env'),
    E: shown('.env'),
  })
})

test('no files is no error, a named one that is missing is', () => {
  using project = copyProject()
  expect(readEnvFiles([project.root], [], {})).toEqual({ files: [], sources: {} })
  expect(() => readEnvFiles([project.root], [join(project.root, 'prod.env')], {})).toThrow(
    /--env-file .*prod\.env cannot be read/,
  )
})

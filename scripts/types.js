// `npm run types`: every tsconfig.json of the workspace with the current compiler; the tests of the
// public types also with the oldest one we promise (users do not all have the newest).
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'

const oldest = 'typescript-5.9'
const projects = globSync('{packages/**,examples/**,bench,chaos}/tsconfig.json', {
  exclude: name => ['node_modules', 'publish', 'dist', 'fixtures'].includes(name.split('/').at(-1)),
}).sort()

const runs = projects.flatMap(project => {
  const compilers = project.endsWith('test/types/tsconfig.json') ? ['typescript', oldest] : ['typescript']
  return compilers.map(compiler => ({ project, compiler }))
})

const results = await Promise.all(runs.map(compile))
process.exitCode = results.every(isGreen => isGreen) ? 0 : 1

function compile({ project, compiler }) {
  const child = spawn(process.execPath, [`node_modules/${compiler}/bin/tsc`, '-p', project, '--pretty'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', chunk => (output += chunk))
  return new Promise(resolve => {
    child.on('close', code => {
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${project}${compiler === oldest ? ' (TypeScript 5.9)' : ''}`)
      if (code !== 0) console.log(output)
      resolve(code === 0)
    })
  })
}

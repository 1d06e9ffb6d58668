// `node scripts/next-example.js`: puts the Next.js example together as its users have it, with the package built and in
// node_modules (as a workspace Next would bundle its sources), and prints where. Into examples/.run, which is not kept.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
const target = new URL('examples/.run/', root)
const isOwn = path => !/[\\/](node_modules|\.next)([\\/]|$)/.test(path)

const { status } = spawnSync(process.execPath, [fileURLToPath(new URL('scripts/build.js', root))], { stdio: 'inherit' })
if (status !== 0) process.exit(1)
rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })
for (const name of ['next', 'tasks'])
  cpSync(new URL(`examples/${name}`, root), new URL(name, target), { recursive: true, filter: isOwn })
cpSync(new URL('packages/lovage/publish', root), new URL('node_modules/lovage', target), { recursive: true })
console.log(fileURLToPath(new URL('next', target)))

// `npm run picture`: the README's moving picture, light and dark, from the tutorial as it runs: frames taken by Chromium,
// shown one after the other by an SVG. Run it when the page has changed.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('../', import.meta.url))
/** Of the page; the picture is its list of tasks. */
const width = 640
const [frameCount, frameMs, lastMs] = [8, 850, 2500]

const folder = mkdtempSync(join(tmpdir(), 'lovage-picture-'))
const env = { ...process.env, PORT: '0', LOVAGE_BROKER_URL: `sqlite:${join(folder, 'queue.db')}` }
const site = spawn(process.execPath, [join(root, 'scripts/start.js')], { env, stdio: ['ignore', 'pipe', 'ignore'] })
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
try {
  const url = await firstLine(site.stdout, /http:\S+/)
  for (const colorScheme of ['light', 'dark']) {
    const svg = toSvg(await film(url, colorScheme))
    writeFileSync(join(root, `docs/images/progress-${colorScheme}.svg`), svg)
    console.log(`docs/images/progress-${colorScheme}.svg: ${Math.round(svg.length / 1000)} kB`)
  }
} finally {
  await browser.close()
  site.kill('SIGTERM')
  await new Promise(resolve => site.once('exit', resolve))
  rmSync(folder, { recursive: true, force: true })
}

async function film(url, colorScheme) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 1200 }, reducedMotion: 'reduce' })
  await page.goto(url)
  for (const seconds of ['6', 'abc', '20']) {
    await page.locator('#l').fill(seconds)
    await page.locator('#l').press('Enter')
  }
  await page.locator('#l').blur()
  const list = page.locator('section')
  await list.getByText('expected number').waitFor()
  const { y, height } = await list.boundingBox()
  const clip = { x: 0, y: y - 4, width, height: Math.ceil(height) + 80 }
  const frames = []
  for (let frame = 0; frame < frameCount; frame++) {
    if (frame === frameCount - 2) await page.getByRole('button', { name: 'Cancel Count to 20' }).click()
    frames.push(await page.screenshot({ clip }))
    await page.waitForTimeout(frameMs)
  }
  await page.close()
  return { frames, height: clip.height }
}

/** Each frame is on top for its time; whoever wants no motion sees the middle one. */
function toSvg({ frames, height }) {
  const totalMs = (frames.length - 1) * frameMs + lastMs
  const percent = ms => `${((100 * ms) / totalMs).toFixed(2)}%`
  const styles = frames.map((_, index) => {
    const [from, to] = [
      percent(index * frameMs),
      percent(index === frames.length - 1 ? totalMs : (index + 1) * frameMs),
    ]
    return `@keyframes f${index}{0%{opacity:0}${from}{opacity:1}${to}{opacity:0}100%{opacity:0}}#f${index}{animation:f${index} ${totalMs}ms step-end infinite}`
  })
  const still = Math.floor(frames.length / 2)
  const calm = `@media(prefers-reduced-motion:reduce){image{animation:none!important}#f${still}{opacity:1}}`
  const images = frames.map(
    (png, index) =>
      `<image id="f${index}" width="${width}" height="${height}" href="data:image/png;base64,${png.toString('base64')}"/>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="Three tasks: one counts to its end, one fails with its reason, one is cancelled"><style>image{opacity:0}${styles.join('')}${calm}</style>${images.join('')}</svg>\n`
}

function firstLine(stream, pattern) {
  return new Promise(resolve => {
    stream.setEncoding('utf8').on('data', text => {
      const found = pattern.exec(text)?.[0]
      if (found !== undefined) resolve(found)
    })
  })
}

/**
 * The tutorial on RabbitMQ with a stock Celery worker behind it, whose results are `rpc://`: where Celery's own client,
 * asked in two processes, answers PENDING, PROGRESS, PENDING, no row here ever steps back.
 */
import { describe, expect, onTestFailed, onTestFinished, test } from 'vitest'
import { hasRabbit, sharedRabbit } from '../../../../test-support/rabbitmq.ts'
import { isLong } from '../faults/support/until.ts'
import { findPythonCelery } from '../interop/protocol/python-celery.ts'
import { useBrowser } from './support/browser.ts'
import { hasChromium } from './support/chromium.ts'
import { count, observations, openPages, report, runTasks, stepsBack } from './support/observations.ts'
import { alternate, Tutorial } from './support/tutorial.ts'

const perPage = isLong ? 8 : 2
const wanted = isLong ? 5000 : 500

describe.runIf(hasChromium && hasRabbit)('no row of a Celery worker’s task ever steps back', () => {
  const openContext = useBrowser()

  test.each(findPythonCelery())(
    'behind two web processes, in two browsers, live and polled, with Celery $version',
    { timeout: 180_000 },
    async ({ python, version }) => {
      const rabbit = await sharedRabbit()
      const vhost = await rabbit.addVhost('tutorial')
      onTestFinished(() => rabbit.deleteVhost(vhost))
      const tutorial = new Tutorial({ LOVAGE_BROKER_URL: rabbit.url(vhost), LOVAGE_DEFAULT_QUEUE: 'python' })
      const celery = tutorial.celeryWorker(python, 8)
      const [one, other, worker] = await Promise.all([tutorial.web(), tutorial.web(), celery])
      // what they said is gone with the test, and tells why a row never came
      onTestFailed(() => {
        for (const [name, { output }] of Object.entries({ one: one.child, other: other.child, worker }))
          console.log(`${name}:\n${output}`)
      })
      const pages = await openPages([await openContext(), await openContext()], await alternate([one.port, other.port]))
      await Promise.all(pages.map((page, index) => runTasks(page, { index, count: perPage })))
      const seen = await observations(pages)
      report(`two web processes, Celery ${version}, rpc://`, seen)
      expect(count(seen)).toBeGreaterThanOrEqual(wanted)
      for (const each of seen) expect(stepsBack(each)).toEqual([])
      expect(seen.length).toBe(perPage * pages.length * 2)
      // every one of them came to the worker's end
      for (const each of seen) expect(each.at(-1)).toMatch(/^(SUCCESS|Done)/)
    },
  )
})

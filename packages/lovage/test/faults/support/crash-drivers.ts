/**
 * The drivers of the crash-point matrix. A new one joins with an entry of its own: what is expected of it follows from
 * its capabilities. The memory driver is not among them: its queue ends with the process that is killed, and nothing is
 * left to look at; the simulator crashes it.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { joinBackend } from '../../../src/backend.ts'
import type { BrokerCapabilities } from '../../../src/broker.ts'
import { openConnection, resolveResultUrl } from '../../../src/drivers/registry.ts'
import type { ResultCapabilities } from '../../../src/result-store.ts'
import { hasRabbit, sharedRabbit } from '../../../../../test-support/rabbitmq.ts'

interface Urls {
  readonly LOVAGE_BROKER_URL: string
  readonly LOVAGE_RESULT_BACKEND: string
}

/** A broker and a result store of one scene's own. */
export interface Place {
  readonly urls: Urls
  /** Messages in a queue, those that are held included, where the driver cannot tell. */
  left?(queue: string): Promise<number>
  end(): Promise<void>
}

interface DriverEntry {
  readonly name: string
  /**
   * What of its cells a short run plays: all of them, those of a kill, or those of points that no driver before it has.
   * A long run (LONG_TESTS=1) plays them all.
   */
  readonly inShort: 'all' | 'kill' | 'own'
  /** Why it cannot be tried on this machine. */
  readonly absence?: string | undefined
  /** A place of the shape that `open` gives; nobody connects to it. */
  readonly sample: Urls
  /** Starts what all its scenes share: that may take its time. */
  readonly prepare?: () => Promise<unknown>
  /** @param root a folder that is removed after the scene */
  readonly open: (root: string) => Promise<Place>
}

const entries: readonly DriverEntry[] = [
  {
    name: 'sqlite',
    inShort: 'all',
    sample: inFiles('/nowhere', 'queue.db'),
    open: root => files(inFiles(root, 'queue.db')),
  },
  {
    name: 'sqlite, results in another file',
    inShort: 'own',
    sample: inFiles('/nowhere', 'results.db'),
    open: root => files(inFiles(root, 'results.db')),
  },
  {
    name: 'rabbitmq, results in sqlite',
    inShort: 'kill',
    absence: hasRabbit ? undefined : 'RabbitMQ is not installed',
    sample: { ...inFiles('/nowhere', 'results.db'), LOVAGE_BROKER_URL: 'amqp://localhost' },
    prepare: () => (hasRabbit ? sharedRabbit() : Promise.resolve()),
    open: root => rabbitPlace(inFiles(root, 'results.db').LOVAGE_RESULT_BACKEND),
  },
  {
    name: 'rabbitmq, results there too',
    inShort: 'kill',
    absence: hasRabbit ? undefined : 'RabbitMQ is not installed',
    sample: { LOVAGE_BROKER_URL: 'amqp://localhost', LOVAGE_RESULT_BACKEND: 'rpc://' },
    prepare: () => (hasRabbit ? sharedRabbit() : Promise.resolve()),
    open: () => rabbitPlace('rpc://'),
  },
]

function inFiles(root: string, results: string): Urls {
  const url = (file: string): string => `sqlite://${pathToFileURL(join(root, file)).pathname}`
  return { LOVAGE_BROKER_URL: url('queue.db'), LOVAGE_RESULT_BACKEND: url(results) }
}

function files(urls: Urls): Promise<Place> {
  return Promise.resolve({ urls, end: () => Promise.resolve() })
}

async function rabbitPlace(results: string): Promise<Place> {
  const rabbit = await sharedRabbit()
  const vhost = await rabbit.addVhost('crash')
  const count = (queue: string): string =>
    `case rabbit_amqqueue:lookup(rabbit_misc:r(<<"${vhost}">>, queue, <<"${queue}">>)) of
      {ok, Q} -> proplists:get_value(messages, rabbit_amqqueue:info(Q, [messages]));
      _ -> 0
    end`
  return {
    urls: { LOVAGE_BROKER_URL: rabbit.url(vhost), LOVAGE_RESULT_BACKEND: results },
    left: async queue => Number(await rabbit.eval(count(queue))),
    end: () => rabbit.deleteVhost(vhost),
  }
}

/** What decides which points a driver has, and what may happen at them. */
export interface Facts {
  readonly broker: BrokerCapabilities
  readonly results: ResultCapabilities
  /** A message, or its settlement, and the record that goes with it are one step. */
  readonly atomic: boolean
  readonly chords: boolean
}

export interface CrashDriver extends Omit<DriverEntry, 'sample'> {
  readonly facts: Facts
}

export const crashDrivers: readonly CrashDriver[] = await Promise.all(
  entries.map(async ({ sample, ...entry }) => ({ ...entry, facts: await factsOf(sample) })),
)

/** Of connections that are never opened. */
async function factsOf({ LOVAGE_BROKER_URL: brokerUrl, LOVAGE_RESULT_BACKEND: resultBackend }: Urls): Promise<Facts> {
  const transport = await openConnection(brokerUrl)
  const resultUrl = resolveResultUrl(resultBackend, brokerUrl)
  const storage = resultUrl === brokerUrl ? transport : await openConnection(resultUrl)
  const { broker, results, atomic } = joinBackend(transport, storage)
  return { broker: broker.capabilities, results: results.capabilities, atomic, chords: 'arrive' in results }
}

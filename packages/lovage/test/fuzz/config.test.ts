import fc from 'fast-check'
import { expect } from 'vitest'
import { resolveConfig, type ConfigSources } from '../../src/app/config.ts'
import { Lovage } from '../../src/app/lovage.ts'
import { settingNames, settingRules, variableName, type SettingName } from '../../src/app/settings.ts'
import { LovageError } from '../../src/core/errors.ts'
import { openConnection } from '../../src/drivers/registry.ts'
import { fuzz, property } from './support/fuzz.ts'
import { anyText, jsonLike } from './support/wire-values.ts'

const text = fc.oneof(
  anyText,
  fc.stringMatching(/^-?[\d.]{1,25}(ms|s|m|h|d)?$/),
  fc.stringMatching(/^[a-z+]{1,8}:\/\/?[\w:@?;/#%[\].]{0,20}$/),
  fc.constantFrom(
    'memory:',
    'sqlite:x.db',
    'sqlite:',
    'rpc://',
    'redis://h;redis://i',
    'django-db',
    ';',
    'memory:;',
    'a,b',
  ),
  fc.constantFrom('debug', 'WARNING', '1e3', '0x10', '4', '30s', '١٢', 'a,,b', ','),
)

const setting = fc.constantFrom(...settingNames)

/** What the configuration promises: every value within its rule, or an error that names setting, source and value. */
function resolvesOrNames(sources: ConfigSources, name: SettingName, given: unknown): void {
  let config
  try {
    config = resolveConfig(sources)
  } catch (error) {
    if (!(error instanceof LovageError)) throw error
    expect(error.code).toBe('E_CONFIG')
    expect(error.message).toMatch(/flag|LOVAGE_|CELERY_|new Lovage\(\)/)
    if (settingRules[name].isSecret === true && typeof given === 'string' && given.length > 8)
      expect(error.message).not.toContain(given)
    return
  }
  expect(config.leaseMs.value).toBeGreaterThanOrEqual(1000)
  expect(config.leaseMs.value).toBeLessThanOrEqual(3_600_000)
  for (const ms of [config.leaseMs, config.resultExpiresMs, config.shutdownTimeoutMs])
    expect(Number.isSafeInteger(ms.value) && ms.value >= 0).toBe(true)
  for (const queue of config.queues.value) expect(queue).not.toBe('')
  expect(config.defaultQueue.value.trim()).not.toBe('')
  expect(URL.canParse(config.brokerUrl.value.split(';')[0] ?? '')).toBe(true)
}

fuzz('configuration', {
  'of any text in the environment is a value, or an error that names it': property({
    of: fc.tuple(setting, fc.boolean(), text),
    holds([name, isCelery, value]) {
      const variable = (isCelery ? settingRules[name].celery : undefined) ?? variableName(name)
      resolvesOrNames({ env: { [variable]: value } }, name, value)
    },
    runs: 2000,
  }),
  'of any variable at all is a value, or an error that names it': property({
    of: fc.tuple(
      fc.oneof(
        anyText.map(rest => `LOVAGE_${rest}`),
        anyText,
      ),
      text,
    ),
    holds([variable, value]) {
      resolvesOrNames({ env: { [variable]: value } }, 'brokerUrl', value)
    },
  }),
  'of any file named in the environment is a value, or an error that names it': property({
    of: fc.tuple(setting, text),
    holds([name, path]) {
      resolvesOrNames({ env: { [`${variableName(name)}_FILE`]: path } }, name, undefined)
    },
  }),
  'of any flag is a value, or an error that names it': property({
    of: fc.tuple(setting, fc.oneof(text, jsonLike)),
    holds: ([name, value]) => resolvesOrNames({ env: {}, flags: { [name]: value } }, name, value),
    runs: 1000,
  }),
  'of any option of the constructor is a value, or an error that names it': property({
    of: fc.tuple(setting, fc.oneof(text, jsonLike, fc.anything({ withBigInt: true, withDate: true, withMap: true }))),
    holds: ([name, value]) => resolvesOrNames({ env: {}, options: { [name]: value } }, name, value),
    runs: 1000,
  }),
  'of any URL that is accepted opens a driver, or says why not': property({
    of: fc.oneof(
      text,
      fc
        .tuple(fc.constantFrom('sqlite:', 'sqlite://', 'memory:', 'amqp://', 'amqps://h', 'rpc://'), anyText)
        .map(parts => parts.join('')),
      fc.webUrl({ withQueryParameters: true }).map(url => url.replace(/^https?/, 'amqp')),
      fc.stringMatching(/^(sqlite|amqp):\/{0,3}[\w%./?&=@:;]{0,30}$/),
    ),
    async holds(url) {
      try {
        const connection = await openConnection(url)
        expect(connection.description).not.toBe('')
        await connection.close()
      } catch (error) {
        if (!(error instanceof LovageError)) throw error
        expect(error.message).not.toBe('')
      }
    },
  }),
  'of any options at all makes an app, or a coded error': property({
    of: fc.tuple(
      fc.oneof(anyText, jsonLike),
      fc.oneof(
        jsonLike,
        fc.record(
          {
            brokerUrl: text,
            routes: fc.oneof(jsonLike, fc.dictionary(anyText, jsonLike)),
            include: jsonLike,
            defaultQueue: fc.oneof(text, jsonLike),
            leaseMs: jsonLike,
          },
          { requiredKeys: [] },
        ),
      ),
    ),
    holds([name, options]) {
      try {
        new Lovage(name as string, options as object)
      } catch (error) {
        if (!(error instanceof LovageError)) throw error
        expect(error.message).not.toBe('')
      }
    },
  }),
})

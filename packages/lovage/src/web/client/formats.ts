/** Numbers, times and durations for people, in the language of the page. */
export interface Formats {
  readonly language: string
  percent(value: number): string
  number(value: number): string
  /** With seconds. */
  time(at: number): string
  /** Rounded as an estimate is: the longer, the coarser. Never below five seconds. */
  estimate(ms: number): string
  /** To the second. */
  countdown(ms: number): string
  list(parts: readonly string[]): string
}

/** Steps of rounding: below so many seconds, to so many. */
const steps: readonly (readonly [belowS: number, stepS: number])[] = [
  [60, 5],
  [300, 30],
  [1800, 60],
  [Infinity, 300],
]

/** Up, so that less is promised than is kept. */
export function roundEstimateS(ms: number): number {
  const seconds = Math.max(5, ms / 1000)
  const step = steps.find(([below]) => seconds <= below)?.[1] ?? 1
  return Math.ceil(seconds / step) * step
}

/** @param language a BCP 47 tag; one that Intl does not take becomes English. */
export function createFormats(language: string): Formats {
  try {
    return formatsFor(language)
  } catch {
    return formatsFor('en')
  }
}

function formatsFor(language: string): Formats {
  const number = new Intl.NumberFormat(language)
  const percent = new Intl.NumberFormat(language, { style: 'percent' })
  const time = new Intl.DateTimeFormat(language, { timeStyle: 'medium' })
  const list = new Intl.ListFormat(language, { type: 'unit', style: 'short' })
  const unit = (value: number, name: string): string[] =>
    value === 0
      ? []
      : [new Intl.NumberFormat(language, { style: 'unit', unit: name, unitDisplay: 'long' }).format(value)]
  const duration = (seconds: number): string =>
    list.format([
      ...unit(Math.floor(seconds / 3600), 'hour'),
      ...unit(Math.floor((seconds % 3600) / 60), 'minute'),
      ...unit(seconds % 60, 'second'),
    ])
  return {
    language,
    percent: value => percent.format(Math.floor(value) / 100),
    number: value => number.format(value),
    time: at => time.format(at),
    estimate: ms => duration(roundEstimateS(ms)),
    countdown: ms => duration(Math.max(1, Math.ceil(ms / 1000))),
    list: parts => list.format(parts),
  }
}

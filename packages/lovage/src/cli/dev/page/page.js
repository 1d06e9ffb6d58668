// The page of `lovage dev`. What the worker has loaded and which runs there are is asked for every second; how a run goes
// is told by its <lovage-task>. Text goes into text nodes only.
const everyMs = 1000
const $ = selector => document.querySelector(selector)
const cards = new Map()
const rows = new Map()
let hasElements = false

const words = { starting: 'Worker: starting…', running: 'Worker: ready', stopped: 'Worker: stopped' }
const broken = 'The file does not load: the terminal says why. Save it to try again.'

follow()
document.addEventListener('visibilitychange', () => document.hidden || void look())
document.addEventListener('lovage-ready', () => void look())

function follow() {
  void look().finally(() => setTimeout(follow, document.hidden ? 5 * everyMs : everyMs))
}

async function look() {
  const now = await ask('/now')
  if (now.error !== undefined) return say('broken', now.error)
  setText($('#file'), now.file)
  say(now.state, words[now.state] ?? broken)
  showTasks(now.tasks)
  if (now.name !== undefined && !hasElements) {
    hasElements = true
    await import('/tasks/lovage.js')
  }
  for (const run of now.runs.toReversed()) showRun(run)
  $('#empty').hidden = rows.size > 0
}

function say(state, text) {
  $('#worker').dataset.state = state
  setText($('#worker'), text)
}

// ── Tasks ────────────────────────────────────────────────────────────────────────────────────────────

function showTasks(tasks) {
  const names = new Set(tasks.map(({ name }) => name))
  for (const [name, { root }] of cards) {
    if (names.has(name)) continue
    root.remove()
    cards.delete(name)
  }
  for (const task of tasks) {
    const text = JSON.stringify(task)
    const known = cards.get(task.name)
    if (known?.text === text) continue
    const root = taskCard(task)
    // what was being typed stays
    if (known !== undefined && known.input.value !== known.input.defaultValue) root.input.value = known.input.value
    if (known === undefined) $('#tasks').append(root.form)
    else known.root.replaceWith(root.form)
    cards.set(task.name, { text, root: root.form, input: root.input })
  }
}

function taskCard(task) {
  const form = $('#task').content.cloneNode(true).firstElementChild
  const [heading, name, input, details] = ['h3', '.name', 'textarea', 'details'].map(each => form.querySelector(each))
  const [schema, problem, button] = ['pre', '.problem', 'button'].map(each => form.querySelector(each))
  heading.textContent = task.title ?? task.name
  name.textContent = [task.title && task.name, task.queue !== 'celery' && `queue ${task.queue}`]
    .filter(Boolean)
    .join(' · ')
  input.defaultValue = JSON.stringify(exampleOf(task))
  input.setAttribute('aria-label', `Arguments of ${task.name}, in JSON`)
  button.setAttribute('aria-label', `Run ${task.name}`)
  const schemas = Object.fromEntries(
    ['args', 'kwargs'].flatMap(part => (task[part] ? [[part, withoutHead(task[part])]] : [])),
  )
  details.hidden = Object.keys(schemas).length === 0
  schema.textContent = JSON.stringify(schemas, undefined, 2)
  input.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })
  form.addEventListener('submit', event => {
    event.preventDefault()
    void run(task, { input, problem })
  })
  return { form, input }
}

async function run({ name }, { input, problem }) {
  const value = parse(input.value)
  if (value === undefined) return setText(problem, 'That is no JSON: texts stand in double quotes, as in ["abc", 5]')
  const { error = '' } = await ask('/call', { name, input: value })
  setText(problem, error)
  if (error === '') await look()
}

function parse(text) {
  try {
    return JSON.parse(text.trim() === '' ? '[]' : text)
  } catch {
    return undefined
  }
}

/** Something to begin with: of the right shape, with empty values. */
function exampleOf({ args, kwargs, takesKwargs, params }) {
  if (takesKwargs) return kwargs === undefined ? {} : sample(kwargs)
  return args === undefined ? (params ?? []).map(() => null) : sample(args)
}

function sample({ type, prefixItems, properties, default: preset, enum: values, const: only, anyOf, oneOf }) {
  if (preset !== undefined) return preset
  if (only !== undefined || values !== undefined) return only ?? values[0]
  if (anyOf !== undefined || oneOf !== undefined) return sample((anyOf ?? oneOf)[0])
  if (prefixItems !== undefined) return prefixItems.map(sample)
  if (properties !== undefined)
    return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, sample(schema)]))
  const empty = { string: '', number: 1, integer: 1, boolean: false, array: [], object: {} }
  return empty[[type].flat()[0]] ?? null
}

function withoutHead(schema) {
  return { ...schema, $schema: undefined }
}

// ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────

function showRun(run) {
  const row = rows.get(run.id) ?? addRun(run)
  const [details, pre, summary] = ['details', 'pre', 'summary'].map(each => row.querySelector(each))
  const isNews = details.hidden
  setText(summary, run.error ?? 'Result')
  setText(pre, run.error === undefined ? (run.result ?? '') : (run.trace ?? ''))
  details.hidden = run.error === undefined && run.result === undefined
  if (isNews && run.result?.length < 200) details.open = true
}

function addRun({ id, name = 'unknown task' }) {
  const row = $('#run').content.cloneNode(true).firstElementChild
  const element = document.createElement('lovage-task')
  element.setAttribute('label', name)
  element.setAttribute('handle', id)
  row.prepend(element)
  row.querySelector('.id').textContent = id
  $('#runs').prepend(row)
  rows.set(id, row)
  return row
}

// ── The server ───────────────────────────────────────────────────────────────────────────────────────

async function ask(path, body) {
  const init = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  try {
    return await (await fetch(path, init)).json()
  } catch {
    return { error: 'lovage dev has ended. Start it again.' }
  }
}

/** Only where it changes: a selection and a screen reader are left alone. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

// The live page. The form is sent by fetch, a row stands at once, and <lovage-task> does the rest. The browser keeps only
// ids: the server shows a task to the visitor who sent it, by the cookie.

const key = 'lovage-tutorial-rows'
const mostRows = 30
const form = document.querySelector('#run')
const problem = document.querySelector('#problem')
const body = document.querySelector('#tasks tbody')
const empty = document.querySelector('#empty')
const clear = document.querySelector('#clear')

for (const kept of readKept().reverse()) addRow(kept.seconds).element.handle = kept.id
update()

form.addEventListener('submit', event => {
  event.preventDefault()
  void run()
})

async function run() {
  const data = new FormData(form)
  const seconds = form.elements.l.value.trim()
  problem.textContent = ''
  const row = seconds === '' ? undefined : addRow(seconds)
  const answer = await post(data)
  if (answer.error !== undefined) {
    row?.root.remove()
    problem.textContent = answer.error
    form.elements.l.focus()
  } else if (row !== undefined) {
    row.element.setAttribute('state', 'PENDING')
    row.element.handle = answer.task_id
    keep({ id: answer.task_id, seconds })
  }
  update()
}

document.addEventListener('lovage-ready', update)

// rows of another tab of this browser
addEventListener('storage', event => {
  if (event.key !== key) return
  const shown = new Set([...body.querySelectorAll('lovage-task')].map(element => element.handle))
  for (const { id, seconds } of readKept().reverse()) if (!shown.has(id)) addRow(seconds).element.handle = id
  update()
})

clear.addEventListener('click', () => {
  for (const element of body.querySelectorAll('lovage-task'))
    if (isOver(element)) {
      write(readKept().filter(({ id }) => id !== element.handle))
      element.closest('tr').remove()
    }
  form.elements.l.focus()
  update()
})

function addRow(seconds) {
  const title = /^\d+$/.test(seconds) ? `Count to ${seconds}` : `Count to “${seconds.slice(0, 60)}”`
  const root = body.insertRow(0)
  const name = document.createElement('th')
  name.scope = 'row'
  // said outright: on a phone rows are laid out as blocks, and some browsers then forget what they are
  root.role = 'row'
  name.role = 'rowheader'
  name.textContent = title
  name.dir = 'auto'
  const element = document.createElement('lovage-task')
  element.label = title
  root.append(name)
  const cell = root.insertCell()
  cell.role = 'cell'
  cell.append(element)
  update()
  return { root, element }
}

async function post(data) {
  try {
    const response = await fetch(form.action, { method: 'POST', body: new URLSearchParams(data) })
    return await response.json()
  } catch {
    return { error: 'The server cannot be reached. Is it running?' }
  }
}

function update() {
  const elements = [...body.querySelectorAll('lovage-task')]
  empty.hidden = elements.length > 0
  clear.hidden = !elements.some(isOver)
}

function isOver(element) {
  return element.snapshot?.ready === true || element.getAttribute('link') === 'gone'
}

function keep(row) {
  write([row, ...readKept()].slice(0, mostRows))
}

function write(rows) {
  localStorage.setItem(key, JSON.stringify(rows))
}

function readKept() {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '[]')
  } catch {
    return []
  }
}

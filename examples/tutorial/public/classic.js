// The tutorial's page: no script of Lovage's. It posts the form and asks for the state of each task every two seconds,
// until the task has ended.
const pollMs = 2000
const form = document.querySelector('#run')
const problem = document.querySelector('#problem')
const body = document.querySelector('#tasks tbody')

form.addEventListener('submit', event => {
  event.preventDefault()
  void run()
})

async function run() {
  const response = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) })
  const answer = await response.json()
  problem.textContent = answer.error ?? ''
  if (response.status === 202) follow(answer.task_id)
}

function follow(id) {
  const row = body.insertRow(0)
  row.dataset.id = id
  row.role = 'row'
  const cells = {}
  for (const name of ['id', 'state', 'progression', 'info']) {
    cells[name] = row.insertCell()
    cells[name].className = name
    cells[name].role = 'cell'
  }
  cells.id.textContent = id
  void poll(id, cells)
}

async function poll(id, cells) {
  const response = await fetch(`/task-status/${encodeURIComponent(id)}/`).catch(() => undefined)
  const status = response?.ok ? await response.json() : undefined
  if (status !== undefined) {
    cells.state.textContent = status.state
    cells.progression.textContent = typeof status.progression === 'number' ? `${Math.round(status.progression)} %` : '–'
    cells.info.textContent = status.info === 'None' ? '' : status.info
  }
  if (!['SUCCESS', 'FAILURE', 'REVOKED'].includes(status?.state)) setTimeout(() => void poll(id, cells), pollMs)
}

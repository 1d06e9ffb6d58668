// The tutorial's page, with fetch in place of jQuery: a row for each task, and its state every two seconds.

const form = document.querySelector('#run')
const rows = document.querySelector('#tasks tbody')
const base = document.body.dataset.statusBase

form.addEventListener('submit', event => {
  event.preventDefault()
  void run()
})

async function run() {
  const response = await fetch(form.action, { method: 'POST', body: new FormData(form) })
  const { task_id: id, error } = await response.json()
  document.querySelector('#problem').textContent = error ?? ''
  if (id !== undefined) await poll(id, rows.insertRow(0))
}

async function poll(id, row) {
  // until somebody has seen it
  let status = { state: 'PENDING', progression: 'None', info: 'None' }
  for (let isOver = false; !isOver; await new Promise(resolve => setTimeout(resolve, 2000))) {
    status = (await ask(id)) ?? status
    const { state, progression, info } = status
    row.replaceChildren(...[id, state, progression, info].map(cell))
    isOver = ['SUCCESS', 'FAILURE', 'REVOKED'].includes(state)
  }
}

// undefined: nobody knows it yet, or nobody answers; the row stays as it is, and the next time is soon
async function ask(id) {
  try {
    const response = await fetch(`${base}/task-status/${id}/`)
    return response.ok ? await response.json() : undefined
  } catch {
    return undefined
  }
}

function cell(text) {
  const made = document.createElement('td')
  made.textContent = String(text)
  return made
}

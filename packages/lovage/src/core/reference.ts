/** What a person at a page is given instead of an error's text, and what the worker's log line of that error has too. */

/** `7F3A-91C2`: the same for a task id wherever it is computed. A short name to search a log for, no secret. */
export function referenceOf(taskId: string): string {
  // FNV-1a, 32 bits, over UTF-16 code units
  let hash = 0x811c9dc5
  for (let index = 0; index < taskId.length; index++) {
    hash = Math.imul(hash ^ taskId.charCodeAt(index), 0x01000193)
  }
  const text = (hash >>> 0).toString(16).toUpperCase().padStart(8, '0')
  return `${text.slice(0, 4)}-${text.slice(4)}`
}

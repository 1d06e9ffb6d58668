/** The task, `owner:…` or `tag:…` that a handle speaks of: a hint for addresses and words, never taken as true. */
export function subjectOf(handle: string): string {
  const payload = handle.startsWith('v1.') ? handle.split('.')[2] : undefined
  if (payload === undefined) return handle
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), char => char.charCodeAt(0))
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { readonly sub?: unknown }
    return typeof sub === 'string' ? sub : handle
  } catch {
    return handle
  }
}

export function isList(subject: string): boolean {
  return /^(owner|tag):/.test(subject)
}

/** A bare task id proves nothing: the session's cookie does, where the server takes it. */
export function authorization(handle: string): Record<string, string> {
  return handle.startsWith('v1.') ? { authorization: `Bearer ${handle}` } : {}
}

/**
 * The URLs of a list, `amqp://one;amqp://two`, as Celery writes several for fail-over. A `;` before anything but another
 * URL belongs to the one it stands in, perhaps to its password.
 */
export function splitUrls(text: string): readonly string[] {
  return text.split(/;(?=\s*[a-z][a-z\d+.-]*:\/\/)/i)
}

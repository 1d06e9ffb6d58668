'use server'
import { routes } from '../lovage.ts'
import { loop } from '../../tasks/tasks.ts'

export async function count(seconds: number) {
  return routes.handle(await loop.delay(seconds), { allow: ['read', 'result', 'revoke'] })
}

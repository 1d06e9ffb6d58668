import { routes } from '../../../lovage.ts'

export const GET = routes.fetch
export const POST = routes.fetch

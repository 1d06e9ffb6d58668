import { taskRoutes } from 'lovage/web'
import { app } from '../tasks/tasks.ts'

export const routes = taskRoutes(app)

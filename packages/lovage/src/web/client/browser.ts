/** What is served as `<basePath>/lovage.js`: defines the elements; the routes are where the script came from. */
import { defineElements } from './elements.ts'
import { createTaskClient, type TaskClient } from './task-client.ts'

/** The one the elements use: with it a page's own script shares their connection. */
export const client: TaskClient = createTaskClient({ basePath: new URL('.', import.meta.url).pathname })

defineElements({ client })

export { createTaskClient }

/** What a task thread, or the process of a suspect, runs: loads the project's app again and serves its runs. */
import { internals } from '../app/internals.ts'
import { registerProjectHooks } from '../app/loading/hooks.ts'
import { importApp, importProjectFile } from '../app/loading/import-app.ts'
import type { AnyLovage } from '../app/lovage.ts'
import { createRunTask } from '../app/run-task.ts'
import type { RunTask } from '../pools/pool.ts'
import { serveTasks } from '../pools/task-side.ts'
import type { AppSource } from './options.ts'

await serveTasks(data => loadTasks(data as AppSource))

async function loadTasks(source: AppSource): Promise<RunTask> {
  if (source.projectRoot !== undefined) registerProjectHooks(source.projectRoot)
  // what importApp found carries the brand of an app
  const app = (await importApp(source.file, source.exportName)).app as AnyLovage
  await internals(app).loadIncludes()
  for (const file of source.include ?? []) await importProjectFile(file)
  return createRunTask(app)
}

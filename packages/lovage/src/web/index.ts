/** lovage/web: the routes a page needs, for any server that speaks Request and Response. */
export { taskRoutes } from './routes.ts'
export type { TaskRoutes, TaskRoutesOptions } from './routes.ts'
export type { HandleOptions, ListOptions } from './mint.ts'
export type { TaskSummary } from './access.ts'
export { tutorialStatus } from './tutorial.ts'
export type { TutorialStatus } from './tutorial.ts'
export type { Permission, ListHandle, PublicError, PublicSnapshot, RemainingTime, Version } from './contract.ts'
export type { AnyTask, BuiltInState, ResultOf, StatesOf, TaskHandle } from '../app/types.ts'

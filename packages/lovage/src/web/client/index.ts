/** `lovage/web/client`: for the browser. The same code is served as `<basePath>/lovage.js`, which defines the elements. */
export { createTaskClient, TaskRequestError } from './task-client.ts'
export type { HandleView, LinkState, TaskClient, TaskClientOptions } from './task-client.ts'
export { defineElements } from './elements.ts'
export type { DefineElementsOptions, LovageTaskElement, LovageTaskEventMap, LovageTasksElement } from './elements.ts'
export { english } from './messages.ts'
export type { Messages } from './messages.ts'

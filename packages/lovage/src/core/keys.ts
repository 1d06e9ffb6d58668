/** Where Lovage keeps its facts in Coordination: the prefix of each kind of key, and what follows it. */

/** + task id. Value: JSON `{terminate, reason, at}`. */
export const revokePrefix = 'revoke/'
/** Until then a worker may take up a revoked task that waits for its time; a week. */
export const revokeMs: number = 7 * 86_400_000
/** + queue. Value: anything. */
export const pausePrefix = 'paused/'
/** + node name. Value: a `WorkerCard` in JSON. */
export const presencePrefix = 'worker/'
/** Queues that were declared here, where the broker itself cannot list them. */
export const queuePrefix = 'queue/'

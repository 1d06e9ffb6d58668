/** Where Lovage keeps its facts in Coordination: the prefix of each kind of key, and what follows it. */

/** + task id. Value: JSON `{terminate, reason, at}`. */
export const revokePrefix = 'revoke/'
/** + queue. Value: anything. */
export const pausePrefix = 'paused/'
/** + node name. Value: a `WorkerCard` in JSON. */
export const presencePrefix = 'worker/'

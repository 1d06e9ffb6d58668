/** How much of everything, and how long. Tests have less patience than browsers. */
import { frameMs, heartbeatMs, longestWaitS, subscriptionLimit } from './contract.ts'

export interface WebLimits {
  /** Handles in one stream's list. */
  readonly subscriptions: number
  /** Of those, lists that nobody signed: each is a search, before the app's hook can say no. */
  readonly bareLists: number
  /** Streams open at once with one handle, or one session, from one address. */
  readonly streamsPerHandle: number
  /** New streams a second from one address. */
  readonly newStreamsPerSecond: number
  readonly bodyBytes: number
  /** A client with more than this unread gets nothing until it has read it. */
  readonly bufferedBytes: number
  /** A client that reads nothing for so long is cut off. */
  readonly stuckMs: number
  readonly heartbeatMs: number
  /** A stream ends after this, give or take a minute, so that balancers can rebalance. */
  readonly lifeMs: number
  readonly frameMs: number
  /** A task is watched for so long after its last viewer left. */
  readonly lingerMs: number
  readonly longestWaitMs: number
  /** How often a list is looked at for new tasks. */
  readonly listMs: number
  /** Tasks of a list that a stream begins with. */
  readonly listLength: number
}

export const defaultLimits: WebLimits = {
  subscriptions: subscriptionLimit,
  bareLists: 10,
  streamsPerHandle: 6,
  newStreamsPerSecond: 20,
  bodyBytes: 64 * 1024,
  bufferedBytes: 64 * 1024,
  stuckMs: 30_000,
  heartbeatMs,
  lifeMs: 15 * 60_000,
  frameMs,
  lingerMs: 60_000,
  longestWaitMs: longestWaitS * 1000,
  listMs: 500,
  listLength: 50,
}

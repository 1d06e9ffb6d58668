"""What Redis still has of the tasks: waiting in the queue, and handed out without an acknowledgement."""
import json
import os

import redis

client = redis.Redis.from_url(os.environ["CHAOS_REDIS"])
queued = [json.loads(message)["headers"]["id"] for message in client.lrange("celery", 0, -1)]
unacked = [json.loads(value)[0]["headers"]["id"] for value in client.hvals("unacked")]
print(json.dumps({"queued": queued, "unacked": unacked}))

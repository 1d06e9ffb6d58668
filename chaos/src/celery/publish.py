"""Publishes until as many tasks wait as it is told; writes down each attempt before and what was acknowledged after."""
import json
import os
import sys
import time
import uuid

import redis

from tasks import quick


def main(count):
    path = os.path.join(os.environ["CHAOS_HISTORIES"], f"producer-{os.getpid()}.jsonl")
    with open(path, "a", buffering=1) as history:

        def write(**line):
            history.write(json.dumps({**line, "at": int(time.time() * 1000)}) + "\n")

        for _ in range(count):
            task_id = str(uuid.uuid4())
            write(k="try", id=task_id, kind="quick")
            quick.apply_async(task_id=task_id)
            write(k="ok", id=task_id)


main(int(sys.argv[1]) - redis.Redis.from_url(os.environ["CHAOS_REDIS"]).llen("celery"))

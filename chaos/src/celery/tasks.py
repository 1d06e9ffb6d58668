"""Stock Celery on Redis, told to be as careful as it can be: late acknowledgement, one message at a time."""
import json
import os
import time

from celery import Celery

app = Celery("chaos", broker=os.environ["CHAOS_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)

_file = os.open(
    os.path.join(os.environ["CHAOS_HISTORIES"], f"effects-{os.getpid()}.jsonl"),
    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
)


def _write(kind, task_id):
    line = {"k": kind, "id": task_id, "kind": "quick", "retries": 0, "pid": os.getpid(), "parent": os.getppid()}
    os.write(_file, (json.dumps({**line, "at": int(time.time() * 1000)}) + "\n").encode())


@app.task(bind=True, name="quick")
def quick(self):
    _write("start", self.request.id)
    _write("end", self.request.id)

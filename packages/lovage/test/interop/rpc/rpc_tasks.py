"""Tasks of a stock Celery worker whose results are rpc://."""

import os

from celery import Celery

app = Celery("rpc_tasks", broker=os.environ["CELERY_BROKER_URL"], backend="rpc://")
app.conf.task_track_started = True
app.conf.task_default_queue = "python"
app.conf.result_serializer = os.environ.get("CELERY_RESULT_SERIALIZER", "json")


@app.task(bind=True, name="rpc.count")
def count(self, steps):
    for step in range(steps):
        self.update_state(state="PROGRESS", meta={"current": step, "total": steps})
    return {"text": "grüße", "steps": steps}


@app.task(bind=True, name="rpc.flaky", max_retries=3)
def flaky(self):
    self.update_state(state="TRYING", meta={"attempt": self.request.retries})
    if self.request.retries < 2:
        # Celery sends the next attempt before it tells of this one: without a pause the next may be told of first
        raise self.retry(exc=ValueError("not yet"), countdown=1)
    return self.request.retries


@app.task(name="rpc.fail")
def fail():
    raise KeyError("gone", 42)

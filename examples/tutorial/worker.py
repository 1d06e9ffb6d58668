"""The tutorial's task, run by stock Celery: `celery -A worker worker` in this folder, beside web processes of Lovage.

Nothing here knows of Lovage. Web processes with LOVAGE_BROKER_URL=amqp://… name their inbox in `reply_to`, and that is
where `rpc://` sends every state; LOVAGE_DEFAULT_QUEUE=python has them send to this worker's queue.
"""

import os
import time

from celery import Celery

app = Celery("core", broker=os.environ.get("CELERY_BROKER_URL", "amqp://"), backend="rpc://")
# One queue per language: this worker rejects names it does not know, so that it must not take from TypeScript's queue,
# nor send to its own what only TypeScript has.
app.conf.task_default_queue = "python"
app.conf.task_routes = {"core.tasks.add": {"queue": "celery"}}


@app.task(bind=True, name="core.tasks.loop")
def loop(self, seconds):
    seconds = int(seconds)
    for i in range(seconds):
        self.update_state(state="PROGRESS", meta={"current": i, "total": seconds})
        time.sleep(1)
    return {"current": seconds, "total": seconds}

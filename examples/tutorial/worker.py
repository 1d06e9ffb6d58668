"""The tutorial's task, run by stock Celery: `celery -A worker worker` in this folder, beside web processes of Lovage.

Nothing here knows of Lovage. Web processes with LOVAGE_BROKER_URL=amqp://… name their inbox in `reply_to`, and that is
where `rpc://` sends every state.
"""

import os
import time

from celery import Celery

app = Celery("core", broker=os.environ.get("CELERY_BROKER_URL", "amqp://"), backend="rpc://")


@app.task(bind=True, name="core.tasks.loop")
def loop(self, seconds):
    seconds = int(seconds)
    for i in range(seconds):
        self.update_state(state="PROGRESS", meta={"current": i, "total": seconds})
        time.sleep(1)
    return {"current": seconds, "total": seconds}

"""A stock Celery worker whose broker is stopped and killed under it; each run leaves a line in the file EFFECTS."""
import ctypes
import os
import signal
import sys

from celery import Celery
from celery.signals import worker_process_init


@worker_process_init.connect
def end_with_parent(**_kwargs):
    """A worker that is killed leaves no children behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


app = Celery("restarts", broker=os.environ["CELERY_BROKER_URL"], backend="rpc://")
app.conf.update(
    task_acks_late=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    # None is Celery's default, which rpc:// takes for no
    result_persistent=True if os.environ["RESULT_PERSISTENT"] == "True" else None,
)


@app.task(name="py.good")
def good(n):
    with open(os.environ["EFFECTS"], "a") as effects:
        effects.write(f"{n}\n")
    return n

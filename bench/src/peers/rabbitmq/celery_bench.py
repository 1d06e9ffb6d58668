"""Stock Celery: the worker's app and its task; run as a program, the client, which is told what to do in lines of JSON."""

import json
import os
import queue
import sys
import threading
import time

from celery import Celery
from celery.result import ResultSet
from celery.signals import worker_ready

app = Celery("celery_bench", broker=os.environ["CELERY_BROKER_URL"], backend="rpc://")
app.conf.update(json.loads(os.environ.get("BENCH_CELERY_CONF", "{}")))


@app.task(name="bench.add")
def add(x, y):
    return x + y


@worker_ready.connect
def tell_ready(**_):
    print("ready", flush=True)


sent = {}


def send(request):
    results = [add.delay(index, 1) for index in range(request["count"])]
    sent[request["id"]] = ResultSet(results)
    return [result.id for result in results]


def wait(request):
    values = sent.pop(request["batch"]).get()
    wrong = [index for index, value in enumerate(values) if value != index + 1]
    if wrong:
        raise ValueError(f"{wrong[0]} + 1 gave {values[wrong[0]]}")


def time_one(_request):
    started_at = time.perf_counter()
    if add.delay(0, 1).get() != 1:
        raise ValueError("0 + 1 gave something else")
    return (time.perf_counter() - started_at) * 1000


commands = {"send": send, "wait": wait, "timeOne": time_one}


requests = queue.PriorityQueue()


def read():
    """What is to be sent goes first, so that the worker has work while the oldest batch is waited for."""
    for line in sys.stdin:
        request = json.loads(line)
        requests.put((request["do"] == "wait", request["id"], request))


def serve():
    threading.Thread(target=read, daemon=True).start()
    while True:
        _, _, request = requests.get()
        answer = {"id": request["id"]}
        try:
            answer["value"] = commands[request["do"]](request)
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()

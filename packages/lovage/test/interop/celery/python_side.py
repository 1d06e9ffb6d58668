"""The Python side of the matrix: a stock Celery app with tasks, and a client that evaluates what the tests send it.

`celery -A python_side worker -Q py` is the worker; `python python_side.py` the client: a line of JSON {"id", "code"} comes
in, a line {"id", "value"} or {"id", "error"} goes out. Only tests talk to it.
"""
import ast
import ctypes
import json
import os
import signal
import sys
import time
import uuid
from datetime import date, datetime, time as clock, timedelta, timezone  # noqa: F401 (the tests' snippets use them)
from decimal import Decimal  # noqa: F401

import celery
import kombu.compression
from celery import Celery, chain, chord, group, signature  # noqa: F401
from celery.exceptions import SoftTimeLimitExceeded

if sys.platform == 'linux':
    # a worker whose test is killed ends with it
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)

app = Celery('interop', broker=os.environ['INTEROP_BROKER_URL'], backend='rpc://')
app.conf.update(
    task_routes={'ts.*': {'queue': 'ts'}, 'py.*': {'queue': 'py'}},
    task_default_queue='py',
    task_queue_max_priority=9,
    result_expires=600,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    task_track_started=False,
)


class ShopClosed(Exception):
    """A class that only Python has."""


@app.task(name='py.echo')
def echo(*args, **kwargs):
    return kwargs if kwargs else args[0] if len(args) == 1 else list(args)


@app.task(name='py.describe')
def describe(*args, **kwargs):
    return repr(kwargs if kwargs else args[0] if len(args) == 1 else args)


@app.task(name='py.add')
def add(x, y):
    return x + y


@app.task(name='py.give')
def give(code):
    return eval(code)


@app.task(name='py.request', bind=True)
def request(self):
    r = self.request
    return {
        'id': r.id, 'root_id': r.root_id, 'parent_id': r.parent_id, 'retries': r.retries, 'timelimit': list(r.timelimit or []),
        'eta': r.eta, 'expires': r.expires, 'correlation_id': r.correlation_id, 'has_reply_to': bool(r.reply_to),
        'custom': (r.headers or {}).get('x-shop'), 'priority': (r.delivery_info or {}).get('priority'),
        'group': r.group, 'now': datetime.now(timezone.utc).isoformat(),
    }


@app.task(name='py.retry_once', bind=True)
def retry_once(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0, exc=ValueError('not yet'))
    return self.request.retries


@app.task(name='py.never', bind=True, max_retries=1)
def never(self):
    raise self.retry(countdown=0, exc=ValueError('never'))


@app.task(name='py.fails')
def fails(kind='builtin'):
    if kind == 'custom':
        raise ShopClosed('closed until 9')
    if kind == 'args':
        raise ValueError('boom', 42)
    raise KeyError('grüße')


@app.task(name='py.progress', bind=True)
def progress(self):
    self.update_state(state='PROGRESS', meta={'current': 1, 'total': 4})
    time.sleep(0.7)
    self.update_state(state='UPLOADING', meta={'bytes': 5})
    time.sleep(0.7)
    return 'done'


@app.task(name='py.sleep')
def sleep(seconds):
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return 'soft limit'
    return 'slept'


@app.task(name='py.quiet', ignore_result=True)
def quiet():
    return 'nobody asks'


@app.task(name='py.note')
def note(x):
    return ['noted', x]


def send(task, *args, kwargs=None, **options):
    return app.send_task(task, list(args), kwargs or {}, **options)


def get(result, timeout=20):
    return result.get(timeout=timeout)


def seen(ask):
    """What was got, or the class of what was raised."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


def failure(result, timeout=20):
    """How the failure of a task looks to whoever asks for its result: class, message, first line of the traceback."""
    try:
        return ['returned', result.get(timeout=timeout)]
    except Exception as error:  # noqa: BLE001
        return [type(error).__name__, str(error), (result.traceback or '').split('\n')[0]]


def fresh():
    """A client of its own: once one has waited in get(), the states of its other tasks are lost to it."""
    other = Celery('fresh', broker=app.conf.broker_url, backend='rpc://', set_as_current=False)
    other.conf.update(task_routes=app.conf.task_routes, task_queue_max_priority=app.conf.task_queue_max_priority)
    return other


def states(result, until=('SUCCESS', 'FAILURE', 'REVOKED'), timeout=20):
    """Every state that a poll sees, with what goes with it."""
    seen = []
    end = time.time() + timeout
    while time.time() < end:
        meta = result._get_task_meta()
        entry = [meta['status'], meta['result'] if meta['status'] not in until else None]
        if meta['status'] != 'PENDING' and entry not in seen:
            seen.append(entry)
        if meta['status'] in until:
            return seen
        time.sleep(0.01)
    return seen + ['timed out']


def wait_for(result, state, timeout=20):
    end = time.time() + timeout
    while time.time() < end:
        if result._get_task_meta()['status'] == state:
            return True
        time.sleep(0.02)
    return False


def publish(body, headers, queue='ts', content_type='application/json', content_encoding='utf-8', **properties):
    """Any message at all."""
    id = str(uuid.uuid4())
    result = app.AsyncResult(id)
    with app.connection_for_write() as connection:
        producer = connection.Producer()
        app.backend.on_task_call(producer, id)
        producer.publish(
            body, routing_key=queue, exchange='', headers={'id': id, 'task': 'ts.echo', **headers}, serializer=None,
            content_type=content_type, content_encoding=content_encoding, correlation_id=id, reply_to=app.thread_oid,
            **properties)
    return result


def send_zstd(by_hand):
    """Compressed by Celery; its 5.2 wants a module that Debian has in another package: the bytes given are sent instead."""
    if celery.VERSION < (5, 3):
        return publish(by_hand, {'compression': 'application/zstd'})
    if 'application/zstd' not in kombu.compression.encoders():
        raise ImportError('kombu has no module for zstd: `node scripts/celery.js` installs it')
    return send('ts.echo', 'zstd', compression='zstd')


def protocol_1(task, *args):
    """As `task_protocol = 1` sends it."""
    app.conf.task_protocol = 1
    try:
        return send(task, *args)
    finally:
        app.conf.task_protocol = 2


def serve():
    namespace = dict(globals())
    for line in sys.stdin:
        question = json.loads(line)
        try:
            # statements, and the value of the last one
            tree = ast.parse(question['code'])
            last = tree.body.pop()
            exec(compile(tree, '<test>', 'exec'), namespace)
            value = eval(compile(ast.Expression(last.value), '<test>', 'eval'), namespace)
            answer = {'id': question['id'], 'value': value}
            text = json.dumps(answer)
        except Exception as error:  # noqa: BLE001
            text = json.dumps({'id': question['id'], 'error': f'{type(error).__name__}: {error}'})
        sys.stdout.write(text + '\n')
        sys.stdout.flush()


if __name__ == '__main__':
    sys.stdout.write(json.dumps({'id': 0, 'value': celery.__version__}) + '\n')
    sys.stdout.flush()
    serve()

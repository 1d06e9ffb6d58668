"""Reads messages with the installed Celery and kombu, as a worker would, and tells what it saw.

Standard input: {"messages": [{properties, headers, body}], "results": [text]}; standard output: JSON.
Nothing is decoded but JSON, as with Celery's default accept_content.
"""
import json
import sys

import celery
from celery import Celery
from celery.worker.request import Request
from kombu import Message
from kombu.serialization import loads

app = Celery('reader', broker='memory://', backend='cache+memory://')
app.conf.update(timezone='UTC', enable_utc=True)


@app.task(name='core.tasks.loop')
def loop(*args, **kwargs):
    return None


def read_message(wire):
    properties = wire['properties']
    body = wire['body'].encode('utf-8')
    args, kwargs, embed = loads(body, properties['contentType'], properties['contentEncoding'], accept={'application/json'})
    message = Message(
        body=body, headers=wire['headers'], content_type=properties['contentType'],
        content_encoding=properties['contentEncoding'], accept={'application/json'}, delivery_tag='1',
        delivery_info={'exchange': '', 'routing_key': 'celery', 'priority': properties['priority']},
        properties={
            'correlation_id': properties['correlationId'],
            'reply_to': properties.get('replyTo'),
            'delivery_info': {'exchange': '', 'routing_key': 'celery'},
        },
    )
    request = Request(message, app=app, task=loop, hostname='golden', decoded=False)
    return {
        'args': repr(args),
        'kwargs': repr(kwargs),
        'embed': embed,
        'id': request.id,
        'name': request.name,
        'eta': request.eta and request.eta.isoformat(),
        'expires': request.expires and request.expires.isoformat(),
        'time_limits': request.time_limits,
        'root_id': request.root_id,
        'parent_id': request.parent_id,
        'group': request.group,
        'argsrepr': request.argsrepr,
        'reply_to': request.reply_to,
        'correlation_id': request.correlation_id,
        'info_type': request.info()['type'],
    }


def read_result(text):
    backend = app.backend
    meta = backend.meta_from_decoded(backend.decode(text))
    result = meta['result']
    return {
        'status': meta['status'],
        'task_id': meta['task_id'],
        'date_done': str(meta['date_done']),
        'result': repr(result),
        'module': type(result).__module__,
        'traceback': meta['traceback'],
    }


def attempt(read, value):
    try:
        return read(value)
    except Exception as error:  # told to the test, which compares
        return {'error': f'{type(error).__name__}: {error}'}


if __name__ == '__main__':
    request = json.load(sys.stdin)
    print(json.dumps({
        'version': celery.__version__,
        'messages': [attempt(read_message, wire) for wire in request['messages']],
        'results': [attempt(read_result, text) for text in request['results']],
    }))

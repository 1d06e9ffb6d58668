"""What a Celery worker with native delayed delivery declares, and a message sent through it for each queue."""
import json
import sys

from kombu import Connection, Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    calculate_routing_key,
    declare_native_delayed_delivery_exchanges_and_queues,
)

url = sys.argv[1]
connection = Connection(url)
channel = connection.channel()
declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
Queue("direct", Exchange("direct", type="direct"), routing_key="direct").bind(channel).declare()
topic = Queue(
    "topic",
    Exchange("topic", type="topic"),
    routing_key="topic",
    queue_arguments={"x-queue-type": "quorum"},
)
topic.bind(channel).declare()
bind_queue_to_native_delayed_delivery_exchange(connection, topic)
producer = connection.Producer()
for queue in ("direct", "topic"):
    producer.publish(
        {},
        exchange="celery_delayed_27",
        routing_key=calculate_routing_key(2, queue),
        headers={"id": "from Python"},
        serializer="json",
    )
connection.release()
print(json.dumps("done"))

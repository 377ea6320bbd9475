"""Produces or consumes through librdkafka (confluent-kafka); run by the Python of `scripts/peers python`.

librdkafka_client.py produce CONFIG.json TOPIC < records.jsonl    prints {"delivered": n, "failed": [...]}
librdkafka_client.py consume CONFIG.json TOPIC                    all partitions to their ends: records as JSON lines
librdkafka_client.py group CONFIG.json TOPIC COUNT                COUNT records as a group member, then commits
librdkafka_client.py member CONFIG.json TOPIC                     a group member until SIGTERM: records, and {"assigned": [[topic, partition]]}
Bytes stand in JSON as latin-1 text.
"""

import json
import sys
import time

import confluent_kafka as ck

LIMIT_S = 40


def encode(data):
    return None if data is None else data.decode("latin-1")


def decode(text):
    return None if text is None else text.encode("latin-1")


def produce(config, topic):
    failed, delivered = [], 0

    def report(error, _message):
        nonlocal delivered
        if error:
            failed.append(str(error))
        else:
            delivered += 1

    producer = ck.Producer(config)
    for line in sys.stdin:
        record = json.loads(line)
        where = {} if record["partition"] is None else {"partition": record["partition"]}
        headers = [(name, decode(value)) for name, value in record["headers"]]
        while True:
            try:
                producer.produce(topic, decode(record["value"]), decode(record["key"]), headers=headers,
                                 on_delivery=report, **where)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(LIMIT_S)
    print(json.dumps({"delivered": delivered, "failed": failed[:5], "left": left}))


def show(message):
    headers = [(name, encode(value)) for name, value in (message.headers() or [])]
    print(json.dumps([message.partition(), message.offset(), message.timestamp()[1], encode(message.key()),
                      encode(message.value()), headers]))


def consume(config, topic):
    consumer = ck.Consumer({"group.id": "none", "enable.partition.eof": True, "enable.auto.commit": False, **config})
    partitions = consumer.list_topics(topic, timeout=LIMIT_S).topics[topic].partitions
    consumer.assign([ck.TopicPartition(topic, number, ck.OFFSET_BEGINNING) for number in partitions])
    at_end, until = set(), time.monotonic() + LIMIT_S
    while len(at_end) < len(partitions) and time.monotonic() < until:
        for message in consumer.consume(1000, 0.2):
            if not message.error():
                show(message)
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
            else:
                raise SystemExit(str(message.error()))
    consumer.close()
    if len(at_end) < len(partitions):
        raise SystemExit(f"no end of partition reported for {set(partitions) - at_end}")


def group(config, topic, count):
    consumer = ck.Consumer({"auto.offset.reset": "earliest", "enable.auto.commit": False,
                            "enable.auto.offset.store": False, **config})
    consumer.subscribe([topic])
    seen, until = 0, time.monotonic() + LIMIT_S
    while seen < count and time.monotonic() < until:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        show(message)
        consumer.store_offsets(message)
        seen += 1
    if seen:
        consumer.commit(asynchronous=False)
    consumer.close()


def member(config, topic):
    import signal
    ends = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(True))
    consumer = ck.Consumer(config)
    consumer.subscribe([topic])
    before = None
    while not ends:
        message = consumer.poll(0.1)
        assigned = sorted((one.topic, one.partition) for one in consumer.assignment())
        if assigned != before:
            before = assigned
            print(json.dumps({"assigned": assigned}), flush=True)
        if message is not None and not message.error():
            show(message)
            sys.stdout.flush()
    consumer.close()


def main():
    verb, config, topic = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    if verb == "produce":
        produce(config, topic)
    elif verb == "consume":
        consume(config, topic)
    elif verb == "member":
        member(config, topic)
    else:
        group(config, topic, int(sys.argv[4]))


main()

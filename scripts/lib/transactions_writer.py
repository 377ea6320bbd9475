"""Writes transactions with librdkafka, run by its own Python: `transactions_writer.py BOOTSTRAP TOPIC`.

Of every four transactions of ten records one is aborted; the last one is left open. Prints what was committed, one value
a line.
"""

import sys

from confluent_kafka import Producer


def main(bootstrap, topic):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"txn-{topic}", "linger.ms": 0,
                         "transaction.timeout.ms": 600000})
    producer.init_transactions(30)
    for transaction in range(13):
        producer.begin_transaction()
        values = [f"{transaction}-{n}" for n in range(10)]
        for n, value in enumerate(values):
            producer.produce(topic, value.encode(), partition=n % 3)
        producer.flush(30)
        if transaction == 12:
            print("OPEN", *values)
        elif transaction % 4 == 1:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            print("COMMITTED", *values)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

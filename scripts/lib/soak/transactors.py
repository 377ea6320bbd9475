"""Who writes in transactions while the broker is soaked: one transactional id each, commits and aborts.

    begin -- records, in turn to all partitions --+-- commit --> COMMITTED: each of them is read, once
                                                  +-- abort  --> ABORTED: none of them is, in the log or not
Where the broker says that a transaction must be aborted it is, and that is counted by what it said.
"""

import collections
import time

import confluent_kafka as ck

from lib.soak.book import ABORTED, COMMITTED, OPEN
from lib.soak.clients import LATE_S, Producer

ABORTS = 0.2
RECORDS_MAX = 30
CALL_S = 30
# A transaction that is open for longer is aborted by the broker: a machine that does other things must not come near to that.
TIMEOUT_MS = LATE_S * 1000


class Transactor(Producer):
    """Writes `rate` bytes a second, one transaction after the other."""

    def __init__(self, who, bootstrap, partitions, rate, alarm, **config):
        super().__init__("exact", who, bootstrap, partitions, rate, alarm, **{
            "transactional.id": f"exact-{who}", "transaction.timeout.ms": TIMEOUT_MS, "message.timeout.ms": TIMEOUT_MS - 10_000,
            **config})
        self.committed = self.aborted = 0
        self.forced = collections.Counter()  # aborts that the broker asked for, by what it said

    def work(self):
        self.insist(self.client.init_transactions)
        begun, given = time.monotonic(), 0
        while not self.ending.is_set():
            given += self.transaction()
            ahead_s = given / self.rate - (time.monotonic() - begun)
            if ahead_s < -2:  # the broker was away: not to be made up for
                begun, given = time.monotonic(), 0
            self.ending.wait(max(0, ahead_s))

    def transaction(self):
        """From begin to end. Gives the bytes that were sent."""
        first = {one: len(one.writers[self.who].acked) for one in self.partitions}
        self.client.begin_transaction()
        given = sum(self.send(OPEN) for _ in range(self.random.randint(1, RECORDS_MAX)))
        is_commit = self.random.random() >= ABORTS
        if not is_commit and self.random.random() < 0.5:
            self.client.flush(LATE_S)  # what is aborted is in the log; otherwise it may be on its way
        fate = self.finish(is_commit)
        for one, number in first.items():
            one.writers[self.who].ended(number, fate)
        return given

    def send(self, fate=OPEN):
        try:
            return super().send(fate)
        except ck.KafkaException:
            return 0  # the transaction has failed, as its end says: otherwise this record is missing in it

    def finish(self, is_commit):
        """Ends it as it should, or must: what became of it."""
        try:
            if is_commit:
                self.insist(self.client.commit_transaction)
                self.committed += 1
                return COMMITTED
        except ck.KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            self.forced[error.args[0].name()] += 1
        self.insist(self.client.abort_transaction)
        self.aborted += 1
        return ABORTED

    def insist(self, call):
        """Calls until it is done; again where it may be."""
        until = time.monotonic() + LATE_S
        while True:
            try:
                return call(CALL_S)
            except ck.KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > until:
                    raise

    def heard(self, one, number, size, error, message):
        """A record that is refused makes its transaction one to be aborted; one that is aborted on its way is told of as an error."""
        if error is None:
            super().heard(one, number, size, error, message)

    def tally(self):
        forced = "".join(f", {count} because of {name}" for name, count in self.forced.items())
        return f"{self.name}: {self.committed} committed, {self.aborted} aborted{forced}"

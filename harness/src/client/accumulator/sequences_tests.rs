//! Sequences and epochs against a model of a broker that loses requests and answers.

use proptest::prelude::*;
use ringlog_wire::batch::BatchHeader;

use super::tests::{NODE, accumulator, append, buffer, limits, no_batches, values};
use super::*;

/// A partition's log as Kafka's ProducerStateManager keeps it, for one producer.
#[derive(Default)]
struct Log {
    epoch: i16,
    next: i32,
    recent: Vec<i32>,
    values: Vec<Vec<u8>>,
}

enum Verdict {
    Taken,
    OutOfOrder,
}

impl Log {
    fn append(&mut self, bytes: &[u8]) -> Verdict {
        let header = BatchHeader::parse(bytes).unwrap();
        if header.producer_epoch > self.epoch {
            (self.epoch, self.next) = (header.producer_epoch, 0);
            self.recent.clear();
        }
        assert_eq!(header.producer_epoch, self.epoch, "an older epoch never comes back");
        if self.recent.contains(&header.base_sequence) {
            return Verdict::Taken;
        }
        if header.base_sequence != self.next {
            return Verdict::OutOfOrder;
        }
        self.next += header.record_count;
        self.recent.push(header.base_sequence);
        if self.recent.len() > 5 {
            self.recent.remove(0);
        }
        self.values.extend(values(bytes));
        Verdict::Taken
    }
}

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    RequestLost,
    AnswerLost,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Answered), 1 => Just(Fate::RequestLost), 1 => Just(Fate::AnswerLost)]
}

fn deliver(accumulator: &mut Accumulator, logs: &mut [Log], flight: Vec<SentBatch>, fate: Fate, lost: &mut bool) {
    assert_eq!(deliver_until(accumulator, logs, flight, (fate, 0), lost), 0, "nothing is given up");
}

/// Requests in flight on one connection: a loss takes all that were sent after it too, as a closed socket does. Gives how
/// many records were given up.
fn deliver_until(
    accumulator: &mut Accumulator,
    logs: &mut [Log],
    flight: Vec<SentBatch>,
    (fate, now_ns): (Fate, u64),
    lost: &mut bool,
) -> usize {
    let mut gone = 0;
    for batch in flight {
        let reached = !*lost && !matches!(fate, Fate::RequestLost);
        let verdict = reached.then(|| logs[batch.partition].append(&batch.bytes));
        *lost |= !matches!(fate, Fate::Answered);
        let refusal = match verdict {
            Some(Verdict::Taken) if matches!(fate, Fate::Answered) => {
                accumulator.done(&batch);
                continue;
            }
            Some(Verdict::OutOfOrder) if matches!(fate, Fate::Answered) => Refusal::OutOfOrder,
            _ => Refusal::RetryAsIs,
        };
        gone += accumulator.refused(batch, refusal, now_ns).map_or(0, |batch| batch.marks.len());
    }
    gone
}

proptest! {
    #[test]
    fn idempotence_keeps_every_record_once_and_in_order(
        sizes in prop::collection::vec((0usize..3, 1usize..400), 1..120),
        fates in prop::collection::vec((1usize..6, fate()), 1..60),
    ) {
        let (mut accumulator, topic) = accumulator(Limits { buffer_memory: 1 << 20, ..limits() }, 3);
        let (mut logs, mut wanted) = ([Log::default(), Log::default(), Log::default()], vec![Vec::new(); 3]);
        let mut next = sizes.iter().enumerate();
        for (in_flight, fate) in fates.iter().chain(std::iter::repeat_n(&(5, Fate::Answered), 400)) {
            for (number, (partition, size)) in next.by_ref().take(5) {
                let value: Vec<u8> = number.to_be_bytes().into_iter().cycle().take(*size).collect();
                append(&mut accumulator, (topic, Some(*partition)), &value, 0);
                wanted[*partition].push(value);
            }
            let requests: Vec<Vec<SentBatch>> = (0..*in_flight).map(|_| accumulator.drain(NODE, 10_000, &mut buffer)).collect();
            let mut lost = false;
            for (place, flight) in requests.into_iter().enumerate() {
                let fate = if place == 0 { *fate } else { Fate::Answered };
                deliver(&mut accumulator, &mut logs, flight, fate, &mut lost);
            }
        }
        prop_assert_eq!(accumulator.unfinished(), 0);
        prop_assert_eq!(accumulator.free_bytes(), 1 << 20, "all memory is back");
        for (log, wanted) in logs.iter().zip(&wanted) {
            prop_assert_eq!(&log.values, wanted);
        }
    }
}

#[test]
fn after_a_refused_batch_the_others_go_one_at_a_time_in_their_order() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    (0..5u8).for_each(|number| _ = append(&mut accumulator, (topic, Some(0)), &[number; 260], 0));
    let mut flight: Vec<SentBatch> = (0..4).flat_map(|_| accumulator.drain(NODE, 5000, &mut buffer)).collect();
    assert_eq!(flight.len(), 4);
    assert!(accumulator.refused(flight.remove(0), Refusal::Fail, 5000).is_some());
    for batch in flight {
        assert!(no_batches(&accumulator.drain(NODE, 5000, &mut buffer)), "what is on its way is waited for");
        assert!(accumulator.refused(batch, Refusal::OutOfOrder, 5000).is_none());
    }
    accumulator.set_flushing(true);
    let mut heads = Vec::new();
    for left in [2, 1, 0] {
        let sent = accumulator.drain(NODE, 5000, &mut buffer);
        assert!(left == 0 || no_batches(&accumulator.drain(NODE, 5000, &mut buffer)), "one at a time");
        let header = BatchHeader::parse(&sent[0].bytes).unwrap();
        heads.push((header.producer_epoch, header.base_sequence, values(&sent[0].bytes)[0][0]));
        accumulator.done(&sent[0]);
    }
    assert_eq!(heads, [(1, 0, 1), (1, 1, 2), (1, 2, 3)]);
    assert_eq!(accumulator.drain(NODE, 5000, &mut buffer).len(), 1, "and then what is new");
}

#[test]
fn what_may_be_written_keeps_its_sequence_when_an_earlier_batch_expires() {
    let (mut accumulator, topic) = accumulator(Limits { delivery_timeout_ns: 100, ..limits() }, 1);
    append(&mut accumulator, (topic, Some(0)), &[0; 260], 0);
    append(&mut accumulator, (topic, Some(0)), &[1; 260], 50);
    accumulator.set_flushing(true);
    let flight: Vec<SentBatch> = (0..2).flat_map(|_| accumulator.drain(NODE, 60, &mut buffer)).collect();
    for batch in flight {
        assert!(accumulator.refused(batch, Refusal::RetryAsIs, 60).is_none());
    }
    assert_eq!(accumulator.expired(110).len(), 1);
    let again = accumulator.drain(NODE, 110, &mut buffer);
    let header = BatchHeader::parse(&again[0].bytes).unwrap();
    assert_eq!((header.producer_epoch, header.base_sequence), (0, 1), "the broker may have it under these");
    // It has not: the sequence before it is missing.
    let batch = again.into_iter().next().unwrap();
    assert!(accumulator.refused(batch, Refusal::OutOfOrder, 110).is_none());
    let anew = accumulator.drain(NODE, 110, &mut buffer);
    let header = BatchHeader::parse(&anew[0].bytes).unwrap();
    assert_eq!((header.producer_epoch, header.base_sequence), (1, 0));
}

proptest! {
    #[test]
    fn with_expiry_every_record_is_written_once_at_most_and_in_order(
        sizes in prop::collection::vec((0usize..2, 1usize..400), 1..80),
        fates in prop::collection::vec((1usize..6, fate()), 20..80),
        timeout in 2u64..12,
    ) {
        let limits = Limits { buffer_memory: 1 << 20, delivery_timeout_ns: timeout, linger_ns: 0, ..limits() };
        let (mut accumulator, topic) = accumulator(limits, 2);
        let (mut logs, mut wanted) = ([Log::default(), Log::default()], vec![Vec::new(); 2]);
        let (mut gone, mut next) = (0, sizes.iter().enumerate());
        let quiet = std::iter::repeat_n(&(5, Fate::Answered), 200);
        for (now_ns, (in_flight, fate)) in (0..).zip(fates.iter().chain(quiet)) {
            for (number, (partition, size)) in next.by_ref().take(4) {
                let value: Vec<u8> = number.to_be_bytes().into_iter().cycle().take((*size).max(8)).collect();
                append(&mut accumulator, (topic, Some(*partition)), &value, now_ns);
                wanted[*partition].push(value);
            }
            gone += accumulator.expired(now_ns).iter().map(|batch| batch.marks.len()).sum::<usize>();
            let requests: Vec<Vec<SentBatch>> = (0..*in_flight).map(|_| accumulator.drain(NODE, now_ns, &mut buffer)).collect();
            let mut lost = false;
            for (place, flight) in requests.into_iter().enumerate() {
                let fate = if place == 0 { *fate } else { Fate::Answered };
                gone += deliver_until(&mut accumulator, &mut logs, flight, (fate, now_ns), &mut lost);
            }
        }
        prop_assert_eq!(accumulator.unfinished(), 0);
        prop_assert_eq!(accumulator.free_bytes(), 1 << 20, "all memory is back");
        let mut written = 0;
        for (log, wanted) in logs.iter().zip(&wanted) {
            written += log.values.len();
            let mut left = wanted.iter();
            prop_assert!(log.values.iter().all(|value| left.any(|wanted| wanted == value)), "doubled, or out of order");
        }
        prop_assert!(written + gone >= sizes.len(), "{} written, {} given up of {}", written, gone, sizes.len());
    }
}

//! What the proxy did to which request, and the truth that follows from it. Times are the proxy's own: from a request's last
//! byte in to its answer's last byte out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ringlog_wire::ApiKey;

use crate::behaviour::{Behaviour, Bucket, Plan, Planner, Stalls};
use crate::checks::report::{Fault, need};
use crate::message::{Asked, Part};
use crate::pumps::{locked, pause};

/// One request and its answer. Times in nanoseconds since the proxy began.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    api: i16,
    /// When the whole request was here.
    in_ns: u64,
    /// When the broker's whole answer was here.
    pub(crate) answered_ns: u64,
    /// When the answer's last byte was given to the client's socket; `None` if the client was gone.
    pub(crate) out_ns: Option<u64>,
    /// What was added on purpose, stalls not included.
    pub(crate) late_ns: u64,
    /// The error code that was planted.
    error: Option<i16>,
    parts: Vec<Part>,
}

impl Entry {
    pub(crate) fn new(asked: &Asked, times: (u64, u64), plan: Plan, parts: Vec<Part>) -> Self {
        Self {
            api: asked.header.api_key,
            in_ns: times.0,
            answered_ns: times.1,
            out_ns: None,
            late_ns: plan.late_ns,
            error: plan.error,
            parts,
        }
    }
}

/// An exchange whose answer reached the client.
#[derive(Clone, Debug)]
struct Exchange {
    in_ns: u64,
    out_ns: u64,
    records: u64,
    error: Option<i16>,
}

/// What the proxy did, and the truth that follows from it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    produces: Vec<Exchange>,
    fetches: Vec<Exchange>,
}

impl Record {
    fn of(entries: &[Entry]) -> Self {
        let exchanges = |api: ApiKey| {
            let sent = entries.iter().filter(|it| it.api == api.key());
            let mut all: Vec<Exchange> = sent.filter_map(Exchange::of).collect();
            all.sort_by_key(|it| it.in_ns);
            all
        };
        Self { produces: exchanges(ApiKey::Produce), fetches: exchanges(ApiKey::Fetch) }
    }

    /// (in, out) of every record in the order in which they came; only where each was sent once, on one connection.
    fn records(&self) -> Vec<(u64, u64)> {
        let of = |it: &Exchange| (0..it.records).map(|_| (it.in_ns, it.out_ns)).collect::<Vec<_>>();
        self.produces.iter().flat_map(of).collect()
    }

    /// Service times of records, sorted, the first `skip` left out.
    pub(crate) fn latencies_ms(&self, skip: usize) -> Vec<f64> {
        let records = self.records();
        sorted(records.iter().skip(skip).map(|(came, out)| ms(out.saturating_sub(*came))).collect())
    }

    /// Times from when a record was due to its answer's end, sorted. Record i of the schedule is due at start + i / rate; none
    /// can come before it is due, so the schedule starts no later than the earliest that any record allows.
    pub(crate) fn responses_ms(&self, rate: f64) -> Vec<f64> {
        let (records, gap) = (self.records(), 1e9 / rate);
        let allowed = records.iter().enumerate().map(|(i, (came, _))| *came as f64 - i as f64 * gap);
        let start = allowed.fold(f64::INFINITY, f64::min);
        let of = |(i, (_, out)): (usize, &(u64, u64))| (*out as f64 - start - i as f64 * gap) / 1e6;
        sorted(records.iter().enumerate().map(of).collect())
    }

    /// For one record at a time: from its Produce request to the later of that request's answer and the record's own arrival
    /// in a Fetch answer, which is when kafka-e2e-latency has seen both; sorted.
    pub(crate) fn end_to_end_ms(&self) -> Vec<f64> {
        let of = |it: &Exchange| (0..it.records).map(|_| it.out_ns).collect::<Vec<_>>();
        let mut arrived: Vec<u64> = self.fetches.iter().flat_map(of).collect();
        arrived.sort_unstable();
        let records = self.records();
        sorted(records.iter().zip(arrived).map(|((came, out), seen)| ms((*out).max(seen) - came)).collect())
    }

    /// Records in Produce requests whose answer became this error.
    pub(crate) fn planted(&self, code: i16) -> u64 {
        self.produces.iter().filter(|it| it.error == Some(code)).map(|it| it.records).sum()
    }

    /// Records per second from record `skip` on.
    pub(crate) fn produce_rate(&self, skip: usize) -> Result<f64, Fault> {
        let records = self.records();
        let rest = records.get(skip..).unwrap_or_default();
        let (first, last) = (rest.first().map(|it| it.0), rest.iter().map(|it| it.1).max());
        rate(rest.len() as u64, first, last)
    }

    /// Records per second, from the first Fetch request to the end of the last answer with records.
    pub(crate) fn fetch_rate(&self) -> Result<f64, Fault> {
        let with_records = || self.fetches.iter().filter(|it| it.records > 0);
        let (first, last) = (self.fetches.first().map(|it| it.in_ns), with_records().map(|it| it.out_ns).max());
        rate(with_records().map(|it| it.records).sum(), first, last)
    }
}

impl Exchange {
    fn of(entry: &Entry) -> Option<Self> {
        let records = entry.parts.iter().map(|it| it.records).sum();
        Some(Self { in_ns: entry.in_ns, out_ns: entry.out_ns?, records, error: entry.error })
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

fn rate(records: u64, first: Option<u64>, last: Option<u64>) -> Result<f64, Fault> {
    match first.zip(last) {
        Some((first, last)) if last > first => Ok(records as f64 / (last - first) as f64 * 1e9),
        _ => Err(Fault::Failed("the proxy saw no records".to_owned())),
    }
}

/// Kafka's rule (ProducerPerformance.percentiles): the sample at floor(p n), from 0.
pub(crate) fn quantile(ordered: &[f64], p: f64) -> Result<f64, Fault> {
    let at = ((p * ordered.len() as f64) as usize).min(ordered.len().saturating_sub(1));
    ordered.get(at).copied().ok_or_else(|| Fault::Failed("the proxy saw no records".to_owned()))
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    started: Instant,
    behaviour: Behaviour,
    /// When the first data request came; 0 before.
    first_ns: AtomicU64,
    planner: Mutex<Planner>,
    pub(crate) to_broker: Option<Mutex<Bucket>>,
    pub(crate) to_client: Option<Mutex<Bucket>>,
    entries: Mutex<Vec<Entry>>,
    complaints: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        let bucket = || behaviour.bytes_per_second.map(|rate| Mutex::new(Bucket::new(rate)));
        Self {
            started: Instant::now(),
            first_ns: AtomicU64::new(0),
            planner: Mutex::new(Planner::new(behaviour.clone())),
            to_broker: bucket(),
            to_client: bucket(),
            entries: Mutex::default(),
            complaints: Mutex::default(),
            behaviour,
        }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn sleep_until(&self, until_ns: u64) {
        if let Some(rest) = pause(self.now_ns(), until_ns) {
            std::thread::sleep(rest);
        }
    }

    /// Stalls are counted from here on.
    pub(crate) fn note_first(&self, now_ns: u64) {
        // Another connection may have been the first.
        let _ = self.first_ns.compare_exchange(0, now_ns.max(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn first_ns(&self) -> Option<u64> {
        Some(self.first_ns.load(Ordering::Relaxed)).filter(|first| *first > 0)
    }

    pub(crate) fn stalls(&self) -> Option<Stalls> {
        self.behaviour.stalls
    }

    pub(crate) fn plan(&self, is_produce: bool) -> Plan {
        locked(&self.planner).plan(is_produce)
    }

    pub(crate) fn keep(&self, entry: Entry) {
        locked(&self.entries).push(entry);
    }

    /// What went wrong in the proxy itself: then there is no truth.
    pub(crate) fn complain(&self, text: String) {
        locked(&self.complaints).push(text);
    }

    /// What there is to tell; nothing where the proxy itself had trouble.
    pub(crate) fn record(&self) -> Result<Record, Fault> {
        let complaints = locked(&self.complaints);
        need(complaints.is_empty(), || format!("the truth proxy itself had trouble: {complaints:?}"))?;
        Ok(Record::of(&locked(&self.entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An exchange of one record, times in milliseconds.
    fn entry(api: ApiKey, (came, out): (u64, Option<u64>), error: Option<i16>) -> Entry {
        let header = ringlog_wire::header::RequestHeader::new(api, 9, 5, None);
        let asked = Asked { header, parts: Vec::new(), is_answered: true };
        let part = Part { topic: "t".into(), partition: 0, records: 1, bytes: 99 };
        let mut entry =
            Entry::new(&asked, (came * 1_000_000, came * 1_000_000), Plan { late_ns: 0, error }, vec![part]);
        entry.out_ns = out.map(|it| it * 1_000_000);
        entry
    }

    #[test]
    fn truths_follow_from_what_reached_the_client() {
        let produce = |came, out, error| entry(ApiKey::Produce, (came, out), error);
        // Due every 10 ms from 100 on; the third came 25 ms late, the last one's client was gone.
        let entries = [
            produce(110, Some(112), Some(87)),
            produce(100, Some(101), None),
            produce(145, Some(150), None),
            produce(150, None, None),
            entry(ApiKey::Fetch, (90, Some(130)), None),
            entry(ApiKey::Fetch, (131, Some(140)), None),
            entry(ApiKey::Fetch, (141, Some(290)), None),
        ];
        let record = Record::of(&entries);
        assert_eq!(record.latencies_ms(0), [1.0, 2.0, 5.0]);
        assert_eq!(record.latencies_ms(1), [2.0, 5.0]);
        assert_eq!(record.responses_ms(100.0), [1.0, 2.0, 30.0]);
        assert_eq!(record.end_to_end_ms(), [30.0, 30.0, 145.0]);
        assert_eq!((record.planted(87), record.planted(19)), (1, 0));
        assert_eq!((record.produce_rate(1).unwrap(), record.fetch_rate().unwrap().round()), (50.0, 15.0));
        assert!(Record::default().fetch_rate().is_err());
    }

    #[test]
    fn a_quantile_is_kafkas_sample() {
        let ordered: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|p| quantile(&ordered, p).unwrap()), [0.0, 50.0, 99.0, 99.0]);
        assert!(quantile(&[], 0.5).is_err());
    }

    #[test]
    fn a_proxy_that_had_trouble_has_no_truth() {
        let shared = Shared::new(Behaviour::default());
        assert!(shared.record().is_ok());
        shared.complain("connection 3: reset".to_owned());
        assert!(shared.record().unwrap_err().to_string().contains("connection 3: reset"));
    }
}

//! What the proxy did to which request: the record that truth is computed from.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::behaviour::{Behaviour, Bucket, Plan, Planner, Stalls};
use crate::message::{Asked, Part};
use crate::pumps::{locked, pause};

/// One request and its answer. Times in nanoseconds since the proxy began.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Entry {
    connection: usize,
    api: i16,
    version: i16,
    correlation: i32,
    /// When the whole request was here.
    in_ns: u64,
    /// When the broker's whole answer was here.
    pub(crate) answered_ns: u64,
    /// When the answer's last byte was given to the client's socket; null if the client was gone.
    pub(crate) out_ns: Option<u64>,
    /// What was added on purpose, stalls not included.
    pub(crate) late_ns: u64,
    /// The error code that was planted.
    error: Option<i16>,
    parts: Vec<Part>,
}

impl Entry {
    pub(crate) fn new(connection: usize, asked: &Asked, times: (u64, u64), plan: Plan, parts: Vec<Part>) -> Self {
        Self {
            connection,
            api: asked.header.api_key,
            version: asked.header.api_version,
            correlation: asked.header.correlation_id,
            in_ns: times.0,
            answered_ns: times.1,
            out_ns: None,
            late_ns: plan.late_ns,
            error: plan.error,
            parts,
        }
    }
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
    #[expect(clippy::disallowed_methods, reason = "a test tool between two real processes: real time is its subject")]
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

    /// The whole record.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": 1,
            "behaviour": self.behaviour,
            "first_ns": self.first_ns(),
            "ended_ns": self.now_ns(),
            "complaints": *locked(&self.complaints),
            "requests": *locked(&self.entries),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_names_the_behaviour_and_every_request() {
        let shared = Shared::new(Behaviour { seed: 3, ..Behaviour::default() });
        let header = ringlog_wire::header::RequestHeader::new(ringlog_wire::ApiKey::Produce, 9, 5, None);
        let asked = Asked { header, parts: Vec::new(), is_answered: true };
        let plan = Plan { late_ns: 50, error: Some(87) };
        let part = Part { topic: "t".into(), partition: 0, records: 2, bytes: 99 };
        shared.keep(Entry::new(0, &asked, (10, 20), plan, vec![part]));
        shared.note_first(10);
        shared.note_first(90);
        let json = shared.json();
        assert_eq!((&json["behaviour"]["seed"], &json["first_ns"]), (&3.into(), &10.into()));
        let request = &json["requests"][0];
        assert_eq!((&request["in_ns"], &request["error"]), (&10.into(), &87.into()));
        assert_eq!(request["parts"][0]["records"], 2);
        assert!(request["out_ns"].is_null());
    }
}

//! The load against brokers in memory that err in a known way, and the spec that tests begin with.

use crate::client::config::ProducerConfig;
use crate::client::properties::Properties;
use crate::spec::produce::settings;
use crate::spec::{CommitWhen, Keys, Pace, PayloadSource, Produce, RecordShape, StampPlace, Until, Warmup};

/// One client that sends a thousand records of 100 bytes as fast as it can, with a ledger and a series.
pub(crate) fn spec(bootstrap: &str) -> Produce {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", bootstrap);
    let parsed = ProducerConfig::parse(&properties).unwrap();
    Produce {
        topic: "t".to_owned(),
        clients: 1,
        pace: Pace::Free,
        until: Until { records: Some(1000), ..Until::default() },
        warmup: Warmup::Without,
        records: RecordShape {
            payload: PayloadSource::Random(100),
            keys: Keys::None,
            sizes: None,
            ratio: None,
            key_shape: None,
            seed: 0,
        },
        commit_when: CommitWhen::AT_THE_END,
        stamps: Some(StampPlace::Payload),
        has_series: true,
        primes: false,
        settings: settings(&parsed),
        config: parsed.config,
    }
}

#[cfg(feature = "yardstick")]
mod against_a_broker {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use ringlog_io::{Clock as _, SystemClock};

    use super::spec;
    use crate::client::Delivered;
    use crate::load::ear::{Observer, Observers};
    use crate::load::produce::{Load, Produced};
    use crate::load::readback;
    use crate::load::records::Records;
    use crate::load::schedule::Arrivals;
    use crate::load::signals::Stop;
    use crate::spec::{Pace, Produce, Until, Warmup};
    use crate::target::faulty::{Fault, start};

    /// What an observer heard, of all clients.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Heard {
        fn say(&self, what: &str) {
            let mut heard = self.0.lock().unwrap();
            if heard.last().is_none_or(|last| last != what) {
                heard.push(what.to_owned());
            }
        }
    }

    impl Observer for Heard {
        fn started(&mut self, _: u64) {
            self.say("started");
        }
        fn steady(&mut self, _: u64) {
            self.say("steady");
        }
        fn ended(&mut self, _: u64) {
            self.say("ended");
        }
        fn delivered(&mut self, _: &Delivered<'_>) {
            self.say("delivered");
        }
    }

    fn run(spec: &Arc<Produce>, observers: Observers) -> Produced {
        let records = (0..spec.clients).map(|client| Records::new(&spec.records, client, &mut |_| ()).unwrap());
        let load = Load {
            spec: Arc::clone(spec),
            records: records.collect(),
            seats: &vec![None; spec.clients],
            stop: &Stop::default(),
            observers,
            metrics: None,
            origin_ns: SystemClock::new().read().0,
            on_second: None,
        };
        load.run(&mut |_| ())
    }

    fn quiet() -> Observers {
        Arc::new(|_| Box::new(Heard::default()))
    }

    #[test]
    fn a_load_counts_what_was_acknowledged_and_its_ledger_is_that_of_the_topic() {
        let spec = Arc::new(Produce { clients: 2, ..spec(&start(Fault::None)) });
        let mut produced = run(&spec, quiet());
        assert!(produced.failure.is_none());
        assert_eq!((produced.counts.sent, produced.counts.done, produced.latencies.records), (1000, 1000, 1000));
        let ledger = produced.take_ledger(&spec);
        assert_eq!((ledger.acknowledged(), ledger.writers.len()), (1000, 2));
    }

    #[test]
    fn partitions_are_primed_before_anything_is_counted_and_the_warm_up_is_not_measured() {
        let heard = Heard::default();
        let own = heard.clone();
        let warmup = Warmup::Records(400);
        let spec = Arc::new(Produce { primes: true, warmup, ..spec(&start(Fault::None)) });
        let mut produced = run(&spec, Arc::new(move |_| Box::new(own.clone())));
        assert_eq!((produced.counts.done, produced.latencies.records), (1000, 600));
        assert_eq!(produced.take_ledger(&spec).acknowledged(), 1001, "the one that primed is in the ledger");
        let heard = heard.0.lock().unwrap().clone();
        let at = |what: &str| heard.iter().position(|it| it == what).unwrap();
        assert!(at("delivered") < at("started") && at("started") < at("steady") && at("steady") < at("ended"));
    }

    #[test]
    fn nothing_that_was_due_in_an_open_loop_is_forgotten() {
        // 100 records are due in half a second, for nearly all of which the broker holds its answer back: two requests
        // of one record fill what is allowed in flight, and the third send waits for memory.
        let mut spec = spec(&start(Fault::Late(2, Duration::from_millis(450))));
        spec.config.buffer_memory = 1000;
        spec.config.batch_size = 100;
        spec.pace = Pace::Open(200.0, Arrivals::Constant);
        spec.until = Until { duration: Some(Duration::from_millis(500)), ..Until::default() };
        let produced = run(&Arc::new(spec), quiet());
        assert_eq!((produced.counts.sent, produced.counts.done), (100, 100), "what was late is sent after the end");
        assert_eq!(produced.lateness().dropped, 0);
        assert!(produced.lateness().late > 50, "{:?}", produced.lateness());
        assert!(produced.latencies.response.max() > 400_000_000, "{}", produced.latencies.response.max());
    }

    #[test]
    fn what_is_not_even_sent_in_overtime_is_dropped_and_has_waited() {
        let mut spec = spec(&start(Fault::Late(2, Duration::from_millis(900))));
        spec.config.buffer_memory = 1000;
        spec.config.batch_size = 100;
        spec.pace = Pace::Open(200.0, Arrivals::Constant);
        spec.until = Until { duration: Some(Duration::from_millis(200)), ..Until::default() };
        let produced = run(&Arc::new(spec), quiet());
        let dropped = produced.lateness().dropped;
        assert!(dropped > 20 && produced.counts.sent + dropped == 40, "{dropped} of 40");
        assert_eq!(produced.latencies.response.len(), 40, "all that was due has a response time");
        assert_eq!(produced.latencies.service.len(), produced.counts.sent);
    }

    #[test]
    fn the_bytes_of_a_closed_loop_end_it_before_its_time() {
        let mut spec = spec(&start(Fault::None));
        let duration = Some(Duration::from_secs(60));
        spec.until = Until { records: None, duration, bytes: Some(600 * 100) };
        spec.warmup = Warmup::Time(Duration::from_secs(20));
        let produced = run(&Arc::new(spec), quiet());
        assert_eq!((produced.counts.sent, produced.counts.steady.counted(false).records), (600, 400));
    }

    #[test]
    fn verifying_nothing_is_a_failure() {
        let mut spec = spec(&start(Fault::None));
        spec.until.records = Some(0);
        let mut produced = run(&Arc::new(spec.clone()), quiet());
        let ledger = produced.take_ledger(&spec);
        let (line, adds_up) = readback::line(&crate::measure::ledger::Verdict::default(), &ledger);
        assert!(!adds_up && line.contains("nothing was acknowledged"), "{line}");
    }
}

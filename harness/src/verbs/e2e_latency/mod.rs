//! `ringlog e2e-latency`: kafka-e2e-latency with our clients. Same options, lines and exit codes.
//!
//! ```text
//!   record -> clock -> producer: send, wait for the acknowledgement -> consumer: poll -> clock -> compare
//! ```
//!
//! One record at a time, on one thread: an unloaded round trip. Every latency is kept in nanoseconds
//! ([`results::Latencies`]); only the original's lines cut them to milliseconds. Ctrl-C ends the run with the lines of
//! what was measured so far.
//!
//! Where it differs: the original commits the offsets of a group that nobody uses again, this one does not.

mod content;
mod options;
pub(crate) mod results;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringlog_io::{Clock as _, SystemClock, driver};

use crate::cli::{PerfError, Warnings, warn_unused};
use crate::client::config::{ConsumerConfig, ProducerConfig};
use crate::client::{
    Admin, ClientError, ConsumedRecord, Consumer, Delivered, DeliverySink, Failed, NewRecord, NewTopic, Producer, Topic,
};
use crate::load::signals;
use content::{Content, Contents};
use options::{Options, Stop};
use results::Latencies;

/// How long a record may take until it is read.
const POLL: Duration = Duration::from_mins(1);
/// How long one wait is, so that a signal is seen.
const WAIT: Duration = Duration::from_millis(100);
/// Partitions and replicas of a topic that is made.
const NEW_TOPIC: (i32, i16) = (1, 1);

/// The options, as `--help` shows them.
pub(crate) fn help() -> String {
    options::usage()
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> ExitCode {
    options::notice(args).iter().for_each(|notice| outln!("{notice}"));
    let options = match options::parse(args) {
        Ok(options) => options,
        Err(Stop::Version) => {
            outln!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(message)) => {
            errln!("{message}\n{}", options::usage());
            return ExitCode::FAILURE;
        }
        Err(Stop::Message(message)) => {
            errln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            errln!("{}", error.report("consumer"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, PerfError> {
    let mut pair = Pair::open(options)?;
    pair.find_topic(options)?;
    pair.settle(options)?;
    // Up to here a signal ends the process by itself: there is nothing to print yet.
    let stop = signals::Stop::watch()?;
    let latencies = pair.measure(options, &stop)?;
    outln!("{}", latencies.average_line());
    match (latencies.percentiles_line(), stop.exit_code()) {
        (Some(line), _) => outln!("{line}"),
        (None, Some(_)) => {}
        (None, None) => return Err(PerfError::Text("Index 0 out of bounds for length 0".into())),
    }
    if let Some(code) = stop.exit_code() {
        pair.producer.abort();
        return Ok(ExitCode::from(code));
    }
    pair.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Both clients.
struct Pair {
    producer: Producer<Acknowledged>,
    consumer: Consumer,
}

impl Pair {
    fn open(options: &Options) -> Result<Self, PerfError> {
        let properties = options.consumer_properties(SystemClock::new().wall_ms()).map_err(PerfError::Text)?;
        let consumer = ConsumerConfig::parse(&properties)?;
        let producer = ProducerConfig::parse(&options.producer_properties().map_err(PerfError::Text)?)?;
        // The file is for both clients: only what neither of them knows had no effect.
        let unused = producer.unused.iter().filter(|name| consumer.unused.contains(name)).cloned();
        warn_unused(&unused.collect::<Vec<_>>());
        let open = || driver::open(driver::DriverOptions::default());
        let warnings = Shared::default();
        let sink = Acknowledged { failed: None, warnings: Arc::clone(&warnings) };
        let mut consumer = Consumer::open(consumer.config, open()?)?;
        consumer.on_unreachable(move |reason| warn(&warnings, reason));
        let producer = Producer::open(producer.config, open()?, sink)?;
        Ok(Self { producer, consumer })
    }

    /// Makes the topic where it does not exist.
    fn find_topic(&mut self, options: &Options) -> Result<(), PerfError> {
        let names = self.consumer.topic_names().map_err(|error| self.no_names(error))?;
        if names.contains(&options.topic) {
            return Ok(());
        }
        let (partitions, replicas) = NEW_TOPIC;
        outln!(
            "Topic \"{}\" does not exist. Will create topic with {partitions} partition(s) and replication factor = {replicas}",
            options.topic
        );
        let config = self.consumer.config();
        let driver = driver::open(driver::DriverOptions::default())?;
        let made = Admin::open(&config.common, driver, config.default_api_timeout).and_then(|mut admin| {
            admin.create_topic(&NewTopic {
                name: &options.topic,
                partitions,
                replication_factor: replicas,
                configs: &[],
            })
        });
        made.map_err(|error| {
            outln!("Creation of topic {} failed", options.topic);
            error.into()
        })
    }

    /// The original's words for brokers that do not answer, and which one it was and why.
    fn no_names(&self, error: ClientError) -> PerfError {
        let ClientError::Timeout { .. } = error else { return error.into() };
        if let Some(reason) = self.consumer.last_disconnect() {
            errln!("the last connection ended because: {reason}");
        }
        PerfError::Text("Timeout expired while fetching topic metadata".into())
    }

    /// The consumer stands at the end of every partition.
    fn settle(&mut self, options: &Options) -> Result<(), PerfError> {
        let partitions = self.consumer.assign_all(&options.topic)?;
        for partition in (0..partitions).filter_map(|partition| i32::try_from(partition).ok()) {
            self.consumer.position(&options.topic, partition).map_err(|error| self.no_position(error))?;
        }
        Ok(())
    }

    /// The original's words, and what is known of the reason.
    fn no_position(&self, error: ClientError) -> PerfError {
        let ClientError::Timeout { what, waited_ms } = error else { return error.into() };
        if let Some(reason) = self.consumer.last_disconnect() {
            errln!("the last connection ended because: {reason}");
        }
        PerfError::Text(format!("Timeout of {waited_ms}ms expired before {what}"))
    }

    fn measure(&mut self, options: &Options, stop: &signals::Stop) -> Result<Latencies, PerfError> {
        let topic = self.producer.topic(&options.topic);
        let (mut contents, mut latencies) = (Contents::new(options.sizes), Latencies::default());
        for _ in 0..options.records {
            if stop.requested() {
                break;
            }
            let sent = contents.next();
            let Some((elapsed_ns, read)) = self.round_trip(topic, &sent, stop)? else { break };
            check(&sent, &read, options).map_err(PerfError::Text)?;
            latencies.take(elapsed_ns).iter().for_each(|line| outln!("{line}"));
        }
        Ok(latencies)
    }

    /// The time and what was read; `None` where a signal came first.
    fn round_trip(
        &mut self,
        topic: Topic,
        sent: &Content,
        stop: &signals::Stop,
    ) -> Result<Option<(u64, Vec<Content>)>, PerfError> {
        let sent_ns = self.producer.driver().read().0;
        let key = sent.key.as_deref();
        let record = NewRecord { topic, partition: None, key, value: &sent.value, intended_ns: sent_ns, sent_ns };
        self.producer.send_with_headers(&record, &sent.headers(), 0)?;
        while !self.producer.flush_for(WAIT)? {
            if stop.requested() {
                return Ok(None);
            }
        }
        if let Some(error) = self.producer.sink().failed.take() {
            return Err(PerfError::Text(error));
        }
        let (mut read, asked_ns) = (Vec::new(), self.producer.driver().read().0);
        loop {
            let mut sink = |record: &ConsumedRecord<'_>| read.push(Content::read(record));
            let records = self.consumer.poll(WAIT, &mut sink)?;
            let done_ns = self.producer.driver().read().0;
            if records > 0 || u128::from(done_ns.saturating_sub(asked_ns)) >= POLL.as_nanos() {
                return Ok(Some((done_ns.saturating_sub(sent_ns), read)));
            }
            if stop.requested() {
                return Ok(None);
            }
        }
    }

    fn close(self) -> Result<(), PerfError> {
        self.producer.close()?;
        Ok(self.consumer.close()?)
    }
}

/// Exactly the record that was sent must have come back.
fn check(sent: &Content, read: &[Content], options: &Options) -> Result<(), String> {
    let Some(first) = read.first() else {
        let unit = if options.compat.is_3_9() { "" } else { "ms" };
        let timeout = POLL.as_millis();
        return Err(format!("poll() timed out before finding a result (timeout:[{timeout}{unit}])"));
    };
    if let Some(difference) = first.difference(sent, options.compat) {
        return Err(difference);
    }
    if read.len() == 1 {
        return Ok(());
    }
    Err(format!("Only one result was expected during this test. We found [{}]", read.len()))
}

/// What became of the record under way.
#[derive(Debug, Default)]
struct Acknowledged {
    failed: Option<String>,
    warnings: Shared,
}

/// Both clients warn of a broker once.
type Shared = Arc<Mutex<Warnings>>;

fn warn(warnings: &Shared, reason: &str) {
    warnings.lock().unwrap_or_else(PoisonError::into_inner).unreachable(reason);
}

impl DeliverySink for Acknowledged {
    fn delivered(&mut self, _batch: &Delivered<'_>) {}

    fn failed(&mut self, batch: &Failed<'_>) {
        self.failed = Some(batch.error.to_string());
    }

    fn unreachable(&mut self, reason: &str) {
        warn(&self.warnings, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn exactly_what_was_sent_must_come_back_and_nothing_else() {
        let options = options("--bootstrap-server h:1 --topic t --num-records 1 --producer-acks 1 --record-size 2");
        let sent = Contents::new(options.sizes).next();
        assert_eq!(check(&sent, std::slice::from_ref(&sent), &options), Ok(()));
        let error = |read: &[Content]| check(&sent, read, &options).unwrap_err();
        assert_eq!(error(&[]), "poll() timed out before finding a result (timeout:[60000ms])");
        let two = "Only one result was expected during this test. We found [2]";
        assert_eq!(error(&[sent.clone(), sent.clone()]), two);
        let other = Content { value: b"x".to_vec(), ..sent.clone() };
        assert!(error(&[other]).starts_with("The message value read [x] did not match"));
    }

    #[test]
    fn version_3_9_says_its_timeout_without_a_unit() {
        let options = options("--compat 3.9 h:1 t 1 all 2");
        let sent = Contents::new(options.sizes).next();
        let wanted = "poll() timed out before finding a result (timeout:[60000])";
        assert_eq!(check(&sent, &[], &options).unwrap_err(), wanted);
    }
}

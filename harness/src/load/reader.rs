//! One client's loop.
//!
//! ```text
//!   poll (100 ms) -> count          until all clients together have read enough, or nothing came for --timeout
//! ```
//!
//! Beside a ledger there is no group: client `c` of `n` reads the partitions `c`, `c + n`, .. from their beginnings.

use std::time::Duration;

use ringlog_io::driver;

use super::to_ms;
use crate::cli::PerfError;
use crate::client::Consumer;
use crate::client::config::{ConsumerConfig, OffsetReset};
use crate::load::readback::Patience;
use crate::load::signals::Stop;
use crate::measure::effort::{Begun, Effort};
use crate::measure::ledger::{LedgerFile, settle};
use crate::measure::series::Recorder;
use crate::verbs::consumer_perf::count::{Shared, Tally};
use crate::verbs::consumer_perf::metrics;
use crate::verbs::consumer_perf::options::{Numbers, Options, Topics};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// What all clients of a run share.
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) numbers: Numbers,
    pub(crate) config: ConsumerConfig,
    pub(crate) clients: usize,
    pub(crate) duration: Option<Duration>,
    pub(crate) ledger: Option<LedgerFile>,
    pub(crate) stop: Stop,
}

/// What a client leaves behind.
pub(crate) struct Report {
    /// From its beginning until its loop ended.
    pub(crate) effort: Effort,
    /// Its `--print-metrics`.
    pub(crate) metrics: Option<String>,
    /// Why its last connection ended.
    pub(crate) disconnect: Option<String>,
}

/// Runs client number `client`.
pub(crate) fn run(
    plan: &Plan,
    client: usize,
    shared: &Shared,
    recorder: Option<Recorder>,
) -> Result<Report, PerfError> {
    let mut config = plan.config.clone();
    if plan.clients > 1 {
        config.common.client_id = format!("{}-{client}", config.common.client_id);
    }
    if let Some(ledger) = &plan.ledger {
        // Everything is read, wherever a group stands, and no group is moved by it.
        (config.group_id, config.auto_commit, config.offset_reset) = (None, None, OffsetReset::Earliest);
        config.read_committed = ledger.reads_committed();
    }
    let mut consumer = Consumer::open(config, driver::open(driver::DriverOptions::default())?)?;
    let mut tally = Tally::new(client, shared, recorder);
    let begun = Begun::at(consumer.driver().read().0);
    match &plan.ledger {
        Some(ledger) => {
            assign_share(&mut consumer, &ledger.topic, (client, plan.clients))?;
            read_beside(plan, ledger, &mut consumer, &mut tally, shared)?;
        }
        None => {
            subscribe(&plan.options, &mut consumer)?;
            consume(plan, &mut consumer, &mut tally, shared)?;
        }
    }
    let report = Report {
        effort: begun.end(consumer.driver().read().0),
        metrics: plan.options.print_metrics.then(|| metrics::of(&mut consumer)),
        disconnect: consumer.last_disconnect().map(str::to_owned),
    };
    // Before the close, which may take long.
    tally.end();
    consumer.close()?;
    Ok(report)
}

fn subscribe(options: &Options, consumer: &mut Consumer) -> Result<(), PerfError> {
    match options.topics().map_err(PerfError::Text)? {
        Topics::One(topic) => consumer.subscribe(&[&topic])?,
        Topics::Matching(pattern) => consumer.subscribe_pattern(&pattern)?,
    }
    Ok(())
}

fn consume(plan: &Plan, consumer: &mut Consumer, tally: &mut Tally, shared: &Shared) -> Result<(), PerfError> {
    let (start_ns, duration_ns) = (shared.count().start_ns, plan.duration.map(|it| it.as_nanos()));
    let goes_on = |now_ns: u64| {
        let count = shared.count();
        count.read.records < plan.numbers.records
            && to_ms(now_ns.saturating_sub(count.last_consumed_ns)) <= plan.numbers.timeout_ms
            && duration_ns.is_none_or(|duration| u128::from(now_ns.saturating_sub(start_ns)) < duration)
            && !plan.stop.requested()
    };
    let mut now_ns = start_ns;
    while goes_on(now_ns) {
        let records = consumer.poll(POLL, tally)?;
        consumer.take_unreachable().iter().for_each(|reason| shared.count().warnings.unreachable(reason));
        now_ns = consumer.driver().read().0;
        if records > 0 {
            tally.end_poll(now_ns);
        }
    }
    Ok(())
}

fn assign_share(consumer: &mut Consumer, topic: &str, (client, clients): (usize, usize)) -> Result<(), PerfError> {
    let partitions = consumer.partition_count(topic)?;
    let share = (client..partitions).step_by(clients).filter_map(|partition| i32::try_from(partition).ok());
    let share: Vec<(&str, i32, Option<i64>)> = share.map(|partition| (topic, partition, None)).collect();
    consumer.assign(&share);
    Ok(())
}

/// Reads until everything that was acknowledged is there and nothing follows, or nothing came for `--timeout`.
fn read_beside(
    plan: &Plan,
    ledger: &LedgerFile,
    consumer: &mut Consumer,
    tally: &mut Tally,
    shared: &Shared,
) -> Result<(), PerfError> {
    let silence_max = Duration::from_millis(u64::try_from(plan.numbers.timeout_ms).unwrap_or(0));
    let mut patience = Patience::new(consumer.driver().read().0, ledger.silence_max(silence_max));
    let mut seen_ns = 0;
    while !plan.stop.requested() {
        let records = consumer.poll(POLL, tally)?;
        consumer.take_unreachable().iter().for_each(|reason| shared.count().warnings.unreachable(reason));
        let now_ns = consumer.driver().read().0;
        if records > 0 {
            tally.end_poll(now_ns);
        }
        // What any of the clients reads keeps all of them waiting.
        let last_ns = shared.count().last_consumed_ns;
        let came = usize::from(std::mem::replace(&mut seen_ns, last_ns) != last_ns);
        let mut missing = || ledger.missing(&settle(&ledger.writers, &shared.read_ledger()));
        if patience.is_over(came, now_ns, &mut missing) {
            break;
        }
    }
    Ok(())
}

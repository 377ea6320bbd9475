//! Compaction on a shard: of the logs that are worth it the dirtiest is cleaned, then the next, then it rests for
//! `log.cleaner.backoff.ms`. How a log is cleaned: `ringlog_storage`, `cleaner.rs`.
//!
//! ```text
//!   rest --Timer::Cleaner--> task: filthiest -- begin -- step, step, .. (jobs, paced) -- swap (a job) -- .. -- end --+
//!     ^                             ^---------------------------------------------------------------------------------+
//!     +------ nothing is dirty -----+
//! ```
//! It is one task, so that one log of a shard is cleaned at a time: memory for one map of keys, and one of the helper threads.
//! The shard's own thread plans and swaps; it reads and writes nothing of it.

use ringlog_io::Nanos;
use ringlog_storage::{Cleaned, CleanerOptions, Cleaning, Next, Partition, Ready, StorageError, Swap};

use crate::broker::Broker;
use crate::jobs;
use crate::replica::PartitionKey;
use crate::tasks::{self, About, Hand};
use crate::timers::Timer;

const NS_PER_MS: u64 = 1_000_000;
/// How long to wait where another job is at work in the folder, or has asked for the same bytes.
const PAUSE_MS: u64 = 5;
/// What is read at a time, whatever `log.cleaner.io.buffer.size` says: each piece costs a way to another thread and back.
const PIECE_BYTES_MIN: usize = 64 << 10;
/// The longest wait between two pieces, whatever pace is asked for: a setting of nothing is not for ever.
const WAIT_MS_MAX: u64 = 60_000;

/// The first look comes `log.cleaner.backoff.ms` after the start.
pub(crate) fn rest(broker: &mut Broker) {
    if broker.settings.log_cleaner_enable() {
        let ns = broker.settings.log_cleaner_backoff_ms().saturating_mul(NS_PER_MS);
        broker.timers.set(Timer::Cleaner, Some(Nanos(broker.now.0.saturating_add(ns.max(1)))));
    }
}

/// The time of [`Timer::Cleaner`] has come.
pub(crate) fn work(broker: &mut Broker) {
    tasks::start(broker, About::CleanLogs, clean_logs);
}

async fn clean_logs(hand: Hand) {
    while let Some(key) = filthiest(&hand).await {
        clean(&hand, key).await;
    }
    hand.on(rest).await;
}

/// The log whose dirty part is largest, of those that are to be cleaned (`LogCleanerManager.grabFilthiestCompactedLog`).
async fn filthiest(hand: &Hand) -> Option<PartitionKey> {
    let compacted = |broker: &mut Broker| -> Vec<PartitionKey> {
        broker.replicas.all().filter(|replica| replica.log().config().compact).map(|replica| replica.key).collect()
    };
    let mut filthiest: Option<(f64, PartitionKey)> = None;
    for key in hand.on(compacted).await {
        if let Some(ratio) = find(hand, key, Partition::dirtiness).await
            && filthiest.is_none_or(|(most, _)| ratio > most)
        {
            filthiest = Some((ratio, key));
        }
    }
    filthiest.map(|(_, key)| key)
}

/// Asks a log, and brings what the answer has to wait for. `None`: it has none, or is not here.
async fn find<T: 'static>(
    hand: &Hand,
    key: PartitionKey,
    ask: impl Fn(&Partition, i64) -> Result<Ready<Option<T>>, StorageError> + Copy + 'static,
) -> Option<T> {
    loop {
        let found = hand.on(move |broker| {
            let place = broker.replicas.find(key)?;
            let log = broker.replicas.at(place).log();
            Some(ask(log, broker.wall_ms).map_err(|error| error.to_string()))
        });
        match found.await? {
            Ok(Ready::Now(found)) => return found,
            Ok(Ready::Later(Some((lookup, job)))) => {
                // Where it fails, the next look says what is wrong.
                drop(hand.run(job).await);
                hand.on(move |broker| jobs::loaded(broker, key, lookup)).await;
            }
            Ok(Ready::Later(None)) => hand.sleep_ms(PAUSE_MS).await,
            Err(error) => {
                let failed = Failed { reason: error, is_final: false };
                hand.on(move |broker| give_up(broker, key, failed)).await;
                return None;
            }
        }
    }
}

/// Why a log is not clean.
struct Failed {
    reason: String,
    /// Another try finds the same.
    is_final: bool,
}

impl From<&str> for Failed {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), is_final: false }
    }
}

async fn clean(hand: &Hand, key: PartitionKey) {
    let (options, mut pace) = hand.on(|broker| (options(broker), Pace::of(broker))).await;
    let cleaning = find(hand, key, move |log, wall_ms| log.clean_begin(options, wall_ms)).await;
    let result = match cleaning {
        Some(cleaning) => drive(hand, key, cleaning, &mut pace).await,
        None => Err("it went, or changed".into()),
    };
    hand.on(move |broker| match result {
        Ok(cleaning) => end(broker, key, &cleaning),
        Err(failed) => give_up(broker, key, failed),
    })
    .await;
}

/// Piece by piece to the end.
async fn drive(hand: &Hand, key: PartitionKey, cleaning: Cleaning, pace: &mut Pace) -> Result<Cleaning, Failed> {
    loop {
        match cleaning.next().0 {
            Next::Step => {
                // The folder of a topic that is deleted goes, and another one may get its name.
                if !hand.on(move |broker| broker.replicas.find(key).is_some()).await {
                    return Err("it was deleted".into());
                }
                hand.run(cleaning.step()).await.map_err(|error| Failed::from(error.to_string().as_str()))?;
                match pace.ms_for(cleaning.next().1) {
                    0 => {}
                    ms => hand.sleep_ms(ms).await,
                }
            }
            Next::Swap => swap(hand, key, &cleaning).await?,
            Next::End => return Ok(cleaning),
            Next::Failed { reason, is_final } => return Err(Failed { reason, is_final }),
        }
    }
}

async fn swap(hand: &Hand, key: PartitionKey, cleaning: &Cleaning) -> Result<(), Failed> {
    let theirs = cleaning.clone();
    let begun = hand.on(move |broker| {
        let place = broker.replicas.find(key)?;
        Some(broker.replicas.at_mut(place).swap_begin(&theirs))
    });
    match begun.await {
        None => Err("it was deleted".into()),
        Some(Swap::Outdated) => Err("it changed meanwhile".into()),
        Some(Swap::Busy) => {
            hand.sleep_ms(PAUSE_MS).await;
            Ok(())
        }
        Some(Swap::Begun(job)) => {
            let result = hand.run(job).await;
            hand.on(move |broker| {
                jobs::beside_done(broker, key, result);
                // Who came while names changed looks again.
                broker.fetches.disturb(key);
                broker.lookups.disturb(key);
            })
            .await;
            Ok(())
        }
    }
}

fn end(broker: &mut Broker, key: PartitionKey, cleaning: &Cleaning) {
    let Some(place) = broker.replicas.find(key) else { return };
    let replica = broker.replicas.at_mut(place);
    replica.clean_end(cleaning);
    let Cleaned { keys, bytes_before, bytes_after, end_offset } = cleaning.cleaned();
    tracing::info!(name = %replica.name(), keys, bytes_before, bytes_after, end_offset, "log cleaned");
}

/// Not before some time has passed; not before it is opened again, where the log is damaged.
fn give_up(broker: &mut Broker, key: PartitionKey, failed: Failed) {
    let backoff_ms = i64::try_from(broker.settings.log_cleaner_backoff_ms()).unwrap_or(i64::MAX).max(1);
    let Some(place) = broker.replicas.find(key) else { return };
    let replica = broker.replicas.at_mut(place);
    let Failed { reason, is_final } = failed;
    if is_final {
        tracing::error!(name = %replica.name(), reason, "the log cannot be cleaned: it is left as it is until the next start");
        replica.clean_failed(i64::MAX);
    } else {
        tracing::warn!(name = %replica.name(), reason, "the log was not cleaned: it is tried again");
        replica.clean_failed(broker.wall_ms.saturating_add(backoff_ms));
    }
}

fn options(broker: &Broker) -> CleanerOptions {
    let settings = &broker.settings;
    let shards = settings.shards();
    CleanerOptions {
        map_bytes: broker.budget.clean_bytes.min(settings.log_cleaner_dedupe_buffer_size() / shards),
        map_load: settings.log_cleaner_io_buffer_load_factor(),
        piece_bytes: (settings.log_cleaner_io_buffer_size() / shards).max(PIECE_BYTES_MIN),
    }
}

/// `log.cleaner.io.max.bytes.per.second`, a shard's share of it: what is read and what is written count.
struct Pace {
    bytes_per_ms: f64,
    owed_ms: f64,
}

impl Pace {
    fn of(broker: &Broker) -> Self {
        let settings = &broker.settings;
        let bytes_per_second = settings.log_cleaner_io_max_bytes_per_second() / settings.shards() as f64;
        Self { bytes_per_ms: (bytes_per_second / 1_000.0).max(f64::MIN_POSITIVE), owed_ms: 0.0 }
    }

    /// How long to wait after so many bytes. Parts of a millisecond are owed until they are a whole one.
    fn ms_for(&mut self, bytes: u64) -> u64 {
        let owed_ms = (self.owed_ms + bytes as f64 / self.bytes_per_ms).min(WAIT_MS_MAX as f64);
        let whole = owed_ms.floor();
        self.owed_ms = owed_ms - whole;
        whole as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_however_small_the_pieces_are() {
        let mut pace = Pace { bytes_per_ms: 1_000.0, owed_ms: 0.0 };
        assert_eq!((pace.ms_for(999), pace.ms_for(1), pace.ms_for(2_500)), (0, 1, 2));
        assert_eq!((0..1_000).map(|_| pace.ms_for(100)).sum::<u64>(), 100);
        let mut none = Pace { bytes_per_ms: f64::MAX / 1_000.0, owed_ms: 0.0 };
        assert_eq!(none.ms_for(u64::MAX), 0);
        let mut nothing = Pace { bytes_per_ms: f64::MIN_POSITIVE, owed_ms: 0.0 };
        assert_eq!(nothing.ms_for(1), WAIT_MS_MAX);
    }
}

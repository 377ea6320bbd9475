//! A partition of a coordinator's topic becomes ours: a task reads its log piece by piece, and what belongs to it is served when
//! the end is reached.
//!
//! ```text
//!   begin -- piece: found, read, replayed -- piece -- .. -- the log's end: Active
//!     |        | cannot be read, damaged: not served, tried again (`upkeep`)
//!     |        | leadership moved, the topic went: stop
//!     +-- meanwhile: COORDINATOR_LOAD_IN_PROGRESS, and everybody else is served
//! ```
//! A partition that moves from shard to shard, step by step, and what each of the two tells its groups:
//!
//! | what happens                                | the old shard                       | the new one                  |
//! |---------------------------------------------|-------------------------------------|------------------------------|
//! | nobody leads, says the image                | serves until it sees that           | NOT_COORDINATOR              |
//! | the old one sees it, closes and hands over  | NOT_COORDINATOR, and who waits too  | NOT_COORDINATOR              |
//! | the new one leads, opens the log, reads it  | NOT_COORDINATOR                     | COORDINATOR_LOAD_IN_PROGRESS |
//! | the log's end is reached                    | NOT_COORDINATOR                     | serves                       |
//!
//! So nothing is appended behind what the new shard reads, and what was acknowledged is in it: a commit is acknowledged when it is
//! in the file. A client that repeats an older commit behind a newer one puts its group back all the same: the two are in the log in
//! that order.

use ringlog_io::{Buf, Job};
use ringlog_storage::{Isolation, LogRange, Lookup, Ready};
use ringlog_wire::batch::Batches;

use crate::broker::Broker;
use crate::coordinators::Coordinator;
use crate::jobs;
use crate::replica::PartitionKey;
use crate::tasks::{self, Hand};
use crate::upkeep;

/// How long to wait where somebody else has asked for the same bytes.
const LOOKUP_PAUSE_MS: u64 = 2;

/// What the next step is.
enum Step {
    /// These bytes are next.
    Read(LogRange),
    /// They are found when this was done.
    Load(Lookup, Job),
    /// They are found when somebody else's job was done.
    Wait,
    /// There are no more: what belongs to it is served.
    Served,
}

/// Begins to load a partition whose log is open, unless that is under way.
pub(crate) fn begin(broker: &mut Broker, of: Coordinator, key: PartitionKey) {
    let about = of.loading(key.partition);
    if !broker.tasks.is_about(about) {
        of.expect(broker, key.partition);
        tasks::start(broker, about, move |hand| load(hand, of, key));
    }
}

async fn load(hand: Hand, of: Coordinator, key: PartitionKey) {
    let result = replay(&hand, of, key).await;
    hand.on(move |broker| {
        if result.is_err() {
            of.give_up(broker, key.partition);
        }
        upkeep::loaded(broker, of, key, result);
    })
    .await;
}

async fn replay(hand: &Hand, of: Coordinator, key: PartitionKey) -> Result<(), String> {
    let mut from = None;
    loop {
        match hand.on(move |broker| next(broker, of, key, from)).await? {
            Step::Read(range) => {
                let bytes =
                    hand.read(range.file, range.position, range.len).await.map_err(|error| error.to_string())?;
                from = Some(hand.on(move |broker| take(broker, of, key, &bytes)).await?);
                hand.turn().await;
            }
            Step::Load(lookup, job) => {
                // Where it fails, the next look says what is wrong.
                drop(hand.run(job).await);
                hand.on(move |broker| jobs::loaded(broker, key, lookup)).await;
            }
            Step::Wait => hand.sleep_ms(LOOKUP_PAUSE_MS).await,
            Step::Served => return Ok(()),
        }
    }
}

/// Finds the bytes from this offset on (`None`: from the first one). At the end it is served in the same moment, so
/// that no batch comes between.
fn next(broker: &mut Broker, of: Coordinator, key: PartitionKey, from: Option<i64>) -> Result<Step, String> {
    let place = broker.replicas.find(key).ok_or("its log is not open")?;
    let log = broker.replicas.at(place).log();
    let from = from.unwrap_or(log.log_start_offset());
    #[cfg(feature = "plant")]
    let is_cut_short = ringlog_io::plant::is(ringlog_io::plant::LOAD_CUT_SHORT) && from > log.log_start_offset();
    #[cfg(not(feature = "plant"))]
    let is_cut_short = false;
    if from >= log.end_offset() || is_cut_short {
        of.serve(broker, key.partition);
        return Ok(Step::Served);
    }
    let found = log.read_ready(from, broker.budget.task_bytes, true, Isolation::LogEnd);
    match found.map_err(|error| error.to_string())? {
        // Compacted away, up to the end.
        Ready::Now(range) if range.len == 0 => {
            of.serve(broker, key.partition);
            Ok(Step::Served)
        }
        Ready::Now(range) => Ok(Step::Read(range)),
        Ready::Later(Some((lookup, job))) => Ok(Step::Load(lookup, job)),
        Ready::Later(None) => Ok(Step::Wait),
    }
}

/// Replays whole batches. Gives the offset after the last one; a batch that is cut off at the end is read again.
fn take(broker: &mut Broker, of: Coordinator, key: PartitionKey, bytes: &Buf) -> Result<i64, String> {
    let used = of.replay(broker, key.partition, bytes)?;
    let last = Batches::new(&bytes[..used]).map_while(Result::ok).last();
    last.map(|batch| batch.header.next_offset())
        .ok_or_else(|| format!("no whole batch in {} bytes where one should be", bytes.len()))
}

//! Batches whose topic keeps another codec (`compression.type`) on their way through a job, and those that came behind them.
//!
//! ```text
//!   hold --> [ in the job that runs | to be compressed ] [ as it is ] ...  --release, from the front--> staged
//! ```
//! Invariants: batches leave in the order in which they came, so that the log meets a producer's sequence as it was sent; one
//! job of a partition runs at a time, and takes what waits: [`JOB_BYTES`] of it, one batch at least.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_io::job::Chore;
use ringlog_io::{Job, Slice};
use ringlog_storage::Origin;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{BatchError, Validated, recompress};
use ringlog_wire::compression::Scratch;

use super::{News, Replica, Settled, Staged, Ticket};

/// What one job opens, where a batch is not larger: who waits behind it waits some ten milliseconds.
const JOB_BYTES: usize = 2 << 20;

/// Bytes of batches that are held, of all partitions of a shard.
pub(crate) type HeldBytes = Rc<Cell<usize>>;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: VecDeque<Held>,
    work: Option<Arc<Mutex<Work>>>,
}

#[derive(Debug)]
struct Held {
    validated: Validated,
    /// Empty while a job has them.
    bytes: Vec<u8>,
    origin: Origin,
    ticket: Ticket,
    /// Given back when it leaves.
    _charge: Charge,
}

/// What a batch counts for among the shard's held bytes, for as long as it is held.
#[derive(Debug)]
struct Charge {
    bytes: usize,
    of: HeldBytes,
}

impl Charge {
    fn new(bytes: usize, of: &HeldBytes) -> Self {
        of.set(of.get() + bytes);
        Self { bytes, of: Rc::clone(of) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.of.set(self.of.get() - self.bytes);
    }
}

/// What a job is given, and what it makes of it.
#[derive(Debug)]
struct Work {
    given: Vec<(Vec<u8>, Validated)>,
    batch_len_max: usize,
    made: Option<Vec<Made>>,
}

type Made = Result<(Vec<u8>, Validated), BatchError>;

impl Work {
    fn perform(&mut self) {
        let mut scratch = Scratch::default();
        let anew =
            |(bytes, validated): (Vec<u8>, Validated)| recompress(&bytes, &validated, self.batch_len_max, &mut scratch);
        self.made = Some(std::mem::take(&mut self.given).into_iter().map(anew).collect());
    }
}

fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn push(&mut self, staged: Staged, of: &HeldBytes) {
        let Staged { validated, bytes, origin, ticket } = staged;
        let charge = Charge::new(bytes.len(), of);
        self.held.push_back(Held { validated, bytes: bytes.to_vec(), origin, ticket, _charge: charge });
    }

    /// Those that the next job takes.
    fn due(&self) -> impl Iterator<Item = &Held> {
        let mut opened = 0;
        let waiting = self.held.iter().filter(|held| held.validated.recompression.is_some());
        waiting.take_while(move |held| {
            let takes = opened == 0 || opened + held.validated.inflated_len <= JOB_BYTES;
            opened += held.validated.inflated_len.max(1);
            takes
        })
    }

    fn begin(&mut self, batch_len_max: usize) -> Job {
        let count = self.due().count();
        let taken = self.held.iter_mut().filter(|held| held.validated.recompression.is_some()).take(count);
        let given = taken.map(|held| (std::mem::take(&mut held.bytes), held.validated)).collect();
        let work = Arc::new(Mutex::new(Work { given, batch_len_max, made: None }));
        self.work = Some(Arc::clone(&work));
        Job::Chore(Chore::new(move |_| {
            lock(&work).perform();
            Ok(())
        }))
    }

    /// Takes what the job that ended made of the first ones, and gives all that nothing holds up any more. Of an earlier
    /// leadership's job nothing is here.
    fn end(&mut self) -> Vec<Result<Staged, (Ticket, BatchError)>> {
        let Some(made) = self.work.as_ref().and_then(|work| lock(work).made.take()) else { return Vec::new() };
        self.work = None;
        let (mut made, mut released) = (made.into_iter(), Vec::new());
        while let Some(front) = self.held.front() {
            let is_held_up = front.validated.recompression.is_some();
            let anew = if is_held_up { made.next() } else { None };
            if is_held_up && anew.is_none() {
                break;
            }
            let Some(Held { validated, bytes, origin, ticket, .. }) = self.held.pop_front() else { break };
            released.push(match anew.unwrap_or(Ok((bytes, validated))) {
                Ok((bytes, validated)) => Ok(Staged { validated, bytes: Slice::from(bytes), origin, ticket }),
                Err(error) => Err((ticket, error)),
            });
        }
        released
    }

    fn drain(&mut self) -> impl Iterator<Item = Ticket> {
        self.work = None;
        std::mem::take(&mut self.held).into_iter().map(|held| held.ticket)
    }
}

impl Replica {
    /// Whether a batch has to wait: it is to be compressed anew, or comes behind one that is.
    pub(crate) fn holds_up(&self, staged: &Staged) -> bool {
        staged.validated.recompression.is_some() || !self.anew.is_empty()
    }

    /// How many batches wait so.
    pub(super) fn held_up(&self) -> usize {
        self.anew.held.len()
    }

    /// Takes such a batch. True: it is the first one.
    pub(crate) fn hold(&mut self, staged: Staged, held_bytes: &HeldBytes) -> bool {
        self.anew.push(staged, held_bytes);
        self.anew.held.len() == 1
    }

    /// How many bytes the next job takes of memory for what it opens and makes. `None`: there is none to begin.
    pub(crate) fn recompression_due(&self) -> Option<usize> {
        let opened: usize = self.anew.due().map(|held| held.validated.inflated_len).sum();
        (self.anew.work.is_none() && !self.anew.is_empty()).then_some(2 * opened)
    }

    /// The job that was due.
    pub(crate) fn begin_recompression(&mut self) -> Job {
        self.anew.begin(self.role.rules.batch_len_max)
    }

    /// It ended: what was held is staged, or refused. True: something is staged.
    pub(crate) fn end_recompression(&mut self, news: &mut News) -> bool {
        let log_start_offset = self.log.log_start_offset();
        for released in self.anew.end() {
            match released {
                Ok(staged) => drop(self.stage(staged)),
                Err((ticket, error)) => {
                    tracing::debug!(topic = %self.topic, partition = self.key.partition, %error, "refused when it was compressed");
                    self.traffic.get_mut().failed_produces += 1;
                    news.settled.push(Settled { ticket, log_start_offset, result: Err(error.code()) });
                }
            }
        }
        self.has_staged()
    }

    /// Who is held up here is refused: its leadership ends.
    pub(super) fn refuse_held(&mut self, error: ErrorCode, log_start_offset: i64, news: &mut News) {
        let refused = self.anew.drain().map(|ticket| Settled { ticket, log_start_offset, result: Err(error) });
        news.settled.extend(refused);
    }
}

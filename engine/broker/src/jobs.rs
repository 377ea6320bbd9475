//! Work on files that would hold the shard's thread: asked of the driver, done beside it.
//!
//! | job | asked for by | when it has ended |
//! |---|---|---|
//! | a piece of write-back | `writeback`, at the end of a turn | the log has less that the disk lacks |
//! | the next segment | a partition whose segment is nearly full | the partition rolls into it |
//! | what a lookup needs | a fetch, or a time, of what is not in the page cache | who reads there looks again |
//! | index entries, producers | a partition that grew, a checkpoint | the next may be asked for |
//! | compressing batches anew | a batch whose topic keeps another codec | it and those behind it are written |
//! | a roll | a batch whose segment is full | it and those behind it are written |
//! | old segments' last name | a log whose start is noted | they are removed some time later |
//! | removing old segments | the same | nothing follows: the next open removes what was left |
//! | removing a folder | a partition that was deleted | nothing follows: a start removes what was left |
//! | a check of a log | a start, for each log that the last run left | it is opened, and who waits for it goes on |
//! | what a task asked for | a task (`tasks`) | the task goes on |
//! | a snapshot of the metadata log | shard 0's desk | the log may begin later |
//! | its old segments' last name | the same | they are removed some time later |
//! | `quorum-state` | shard 0's desk, while a start waits for room | the rest of what a start writes |
//! | the checkpoint files | shard 0's desk | the desk asks for the next file |

use std::collections::BTreeMap;
use std::io;

use ringlog_io::{File, Job, Token};
use ringlog_storage::{Lookup, Writeback};

use crate::broker::Broker;
use crate::replica::{KeepUp, PartitionKey};
use crate::replicas::Place;
use crate::retention;
use crate::submission::{Submission, Submissions};
use crate::tokens;
use crate::upkeep;
use crate::writeback::Piece;

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Writeback(Piece),
    NextSegment(PartitionKey),
    Lookup(PartitionKey, Lookup),
    /// Small files of a partition: saved, or its segment rolled.
    Beside(PartitionKey),
    /// Batches of a partition are compressed anew; so many bytes of memory are its own.
    Recompression(PartitionKey, usize),
    Removal,
    /// A log that was not opened yet is checked.
    Check(PartitionKey),
    Checkpoint,
    /// The task of this number.
    Task(u32),
    /// A snapshot of the metadata log.
    Snapshot,
    /// Files of the metadata log's old segments.
    MetadataLog,
    /// The first of what a start writes that found no room.
    Vote,
}

/// A job that ended.
pub(crate) struct Ended {
    pub(crate) purpose: Purpose,
    pub(crate) result: io::Result<Option<File>>,
}

/// Jobs that are to be asked for, and those that are under way.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    under_way: BTreeMap<u32, Purpose>,
    next: u32,
    asked: Submissions,
}

impl Jobs {
    /// Asks for a job at the end of the turn.
    pub(crate) fn run(&mut self, purpose: Purpose, job: Job) {
        let token = self.begin(purpose);
        self.asked.push(Submission::Run { job, token });
    }

    /// Asks for a write-back at the end of the turn.
    pub(crate) fn write_back(&mut self, piece: Piece, due: Writeback) {
        let token = self.begin(Purpose::Writeback(piece));
        self.asked.push(Submission::WriteBack { file: due.file, offset: due.offset, len: due.len, token });
    }

    /// Asks for a range of a file at the end of the turn, for a task.
    pub(crate) fn read(&mut self, task: u32, file: File, offset: u64, len: usize) {
        let token = self.begin(Purpose::Task(task));
        self.asked.push(Submission::ReadCold { file, offset, len, token });
    }

    fn begin(&mut self, purpose: Purpose) -> Token {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.under_way.insert(number, purpose);
        tokens::job(number)
    }

    /// What is asked for since the last turn.
    pub(crate) fn take_asked(&mut self) -> Submissions {
        std::mem::take(&mut self.asked)
    }

    /// A read ended: the task that asked for it. `None`: it was no task's.
    pub(crate) fn read_ended(&mut self, token: Token) -> Option<u32> {
        let number = tokens::is_job(token).then(|| tokens::job_of(token))?;
        match self.under_way.remove(&number) {
            Some(Purpose::Task(task)) => Some(task),
            _ => None,
        }
    }

    /// A job ended: what it was for. One whose work nobody needs is only told of where it failed.
    pub(crate) fn ended(&mut self, token: Token, result: io::Result<Option<File>>) -> Option<Ended> {
        let purpose = self.under_way.remove(&tokens::job_of(token))?;
        if let Err(error) = &result
            && purpose != Purpose::Vote
        {
            tracing::warn!(?purpose, %error, "a job failed");
        }
        Some(Ended { purpose, result })
    }
}

/// Does, and asks for, what the next appends of a partition that grew should not have to wait for.
pub(crate) fn keep_up(broker: &mut Broker, key: PartitionKey, place: Place) {
    let KeepUp { unwritten_bytes, next_segment, save } = broker.replicas.at_mut(place).keep_up(broker.wall_ms);
    broker.writebacks.saw(key, unwritten_bytes, broker.now);
    if let Some(job) = next_segment {
        broker.jobs.run(Purpose::NextSegment(key), job);
    }
    if let Some(job) = save {
        broker.jobs.run(Purpose::Beside(key), job);
    }
}

/// A partition's small files are written, or its segment is rolled: appends that waited go on, and a folder that waited to
/// be removed goes.
pub(crate) fn beside_done(broker: &mut Broker, key: PartitionKey, result: io::Result<Option<File>>) {
    if let Some(place) = broker.replicas.find(key) {
        broker.replicas.beside_done(place, result, broker.wall_ms, &mut broker.news);
        retention::resume(broker, key);
        upkeep::went_quiet(broker);
    }
}

/// A segment's file is there, or could not be made.
pub(crate) fn next_segment_made(broker: &mut Broker, key: PartitionKey, result: io::Result<Option<File>>) {
    // Of a partition that is gone nothing is left: the file lies in a folder that goes.
    if let Some(place) = broker.replicas.find(key) {
        broker.replicas.at_mut(place).next_segment_made(result);
    }
}

/// What a lookup needs is in the page cache, or could not be read: then the lookup says what is wrong.
pub(crate) fn loaded(broker: &mut Broker, key: PartitionKey, lookup: Lookup) {
    if let Some(place) = broker.replicas.find(key) {
        broker.replicas.at(place).lookup_loaded(lookup);
        broker.fetches.disturb(key);
        broker.lookups.disturb(key);
        retention::resume(broker, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_once_and_with_its_own_purpose() {
        let mut jobs = Jobs::default();
        jobs.run(Purpose::Removal, Job::RemoveDir { dir: "/log/a-0.1-delete".into() });
        jobs.run(Purpose::Checkpoint, Job::Replace { path: "/log/x".into(), bytes: Vec::new() });
        let asked = jobs.take_asked();
        let tokens: Vec<Token> = asked.iter().map(token_of).collect();
        assert!(jobs.take_asked().is_empty());
        let second = jobs.ended(tokens[1], Ok(None)).expect("it was under way");
        assert_eq!(second.purpose, Purpose::Checkpoint);
        assert!(jobs.ended(tokens[1], Ok(None)).is_none());
        let first = jobs.ended(tokens[0], Err(io::ErrorKind::NotFound.into())).expect("it was under way");
        assert_eq!(first.purpose, Purpose::Removal);
    }

    fn token_of(submission: &Submission) -> Token {
        match submission {
            Submission::Run { token, .. } => *token,
            other => panic!("not a job: {other:?}"),
        }
    }
}

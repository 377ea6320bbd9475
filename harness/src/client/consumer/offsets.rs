//! Seeks, positions, commits, and questions about offsets. Whatever waits, waits at most `default.api.timeout.ms`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::ClientError;
use super::super::accumulator::nanos;
use super::super::fetcher::{Committable, Lookup, Question, TopicPartition, name_of};
use super::super::group::{CommitId, Group};
use super::Consumer;

/// An offset that was found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndTimestamp {
    /// The offset.
    pub offset: i64,
    /// The record's timestamp, milliseconds since 1970; -1 for a log's beginning and end.
    pub timestamp_ms: i64,
}

impl Consumer {
    /// Reads on from this offset.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), ClientError> {
        if offset < 0 {
            return Err(ClientError::Corrupt(format!("seek offset must not be a negative number, not {offset}")));
        }
        let partition = (topic.to_owned(), partition);
        if self.fetcher.seek(&partition, offset) { Ok(()) } else { Err(not_ours(&partition)) }
    }

    /// Reads these partitions from their beginnings (all of ours, if none are named). Looked up with the next poll.
    pub fn seek_to_beginning(&mut self, partitions: &[(&str, i32)]) -> Result<(), ClientError> {
        self.seek_by(partitions, Lookup::Earliest)
    }

    /// Reads these partitions from their ends (all of ours, if none are named): the last stable offset under
    /// read_committed. Looked up with the next poll.
    pub fn seek_to_end(&mut self, partitions: &[(&str, i32)]) -> Result<(), ClientError> {
        self.seek_by(partitions, Lookup::Latest)
    }

    fn seek_by(&mut self, partitions: &[(&str, i32)], lookup: Lookup) -> Result<(), ClientError> {
        for partition in self.ours(partitions)? {
            self.fetcher.look_up(&partition, lookup);
        }
        Ok(())
    }

    /// These, or all of ours, if none are named.
    fn ours(&self, partitions: &[(&str, i32)]) -> Result<Vec<TopicPartition>, ClientError> {
        if partitions.is_empty() {
            return Ok(self.assignment());
        }
        let named = owned(partitions);
        match named.iter().find(|partition| !self.fetcher.is_assigned(partition)) {
            Some(partition) => Err(not_ours(partition)),
            None => Ok(named),
        }
    }

    /// Gives nothing out of these partitions until [`Self::resume`]. What was fetched of them is kept.
    pub fn pause(&mut self, partitions: &[(&str, i32)]) -> Result<(), ClientError> {
        for partition in self.ours(partitions)? {
            self.fetcher.pause(&partition);
        }
        Ok(())
    }

    /// Goes on after [`Self::pause`].
    pub fn resume(&mut self, partitions: &[(&str, i32)]) -> Result<(), ClientError> {
        for partition in self.ours(partitions)? {
            self.fetcher.resume(&partition);
        }
        Ok(())
    }

    /// The partitions that are paused.
    pub fn paused(&self) -> Vec<(String, i32)> {
        self.fetcher.paused()
    }

    /// The offset after the last record that was given out, per partition where one is known.
    pub fn positions(&self) -> Vec<((String, i32), i64)> {
        self.fetcher.positions()
    }

    /// The offset of the next record of a partition. Waits until it is known.
    pub fn position(&mut self, topic: &str, partition: i32) -> Result<i64, ClientError> {
        let partition = (topic.to_owned(), partition);
        if !self.fetcher.is_assigned(&partition) {
            return Err(ClientError::Corrupt(
                "You can only check the position for partitions assigned to this consumer.".into(),
            ));
        }
        let what = format!("the position for partition {} could be determined", name_of(&partition));
        self.wait_until(&what, |consumer| consumer.fetcher.position(&partition))
    }

    /// Waits, with turns of the network, until there is something.
    fn wait_until<T>(&mut self, what: &str, mut ready: impl FnMut(&mut Self) -> Option<T>) -> Result<T, ClientError> {
        let timeout = self.config.default_api_timeout;
        let deadline_ns = self.now_ns().saturating_add(nanos(timeout));
        loop {
            if let Some(value) = ready(self) {
                return Ok(value);
            }
            if !self.wait_turn(deadline_ns)? {
                return Err(ClientError::Timeout { what: what.to_owned(), waited_ms: timeout.as_millis() });
            }
        }
    }

    fn committing_group(&mut self) -> Result<&mut Group, ClientError> {
        self.group.as_mut().ok_or_else(|| {
            ClientError::Corrupt(
                "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration.".into(),
            )
        })
    }

    /// Commits the offsets after what was given out, and waits for the answer; errors that may pass are tried again.
    pub fn commit_sync(&mut self) -> Result<(), ClientError> {
        let read = self.fetcher.committable();
        self.commit_and_wait(read)
    }

    /// As [`Self::commit_sync`], these offsets: `(topic, partition, offset of the next record)`.
    pub fn commit_sync_offsets(&mut self, offsets: &[(&str, i32, i64)]) -> Result<(), ClientError> {
        self.commit_and_wait(committables(offsets))
    }

    fn commit_and_wait(&mut self, offsets: Vec<Committable>) -> Result<(), ClientError> {
        let id = self.committing_group()?.commit(offsets, true);
        self.wait_until("successfully committing offsets", |consumer| consumer.take_commit(id))?
    }

    fn take_commit(&mut self, id: CommitId) -> Option<Result<(), ClientError>> {
        self.collect_commits();
        self.commits_done.remove(&id)
    }

    /// Commits the offsets after what was given out, without waiting. Gives the number under which
    /// [`Self::take_commits`] tells what became of it. It is not tried again.
    pub fn commit_async(&mut self) -> Result<u64, ClientError> {
        let read = self.fetcher.committable();
        Ok(self.committing_group()?.commit(read, false).0)
    }

    /// What became of commits by [`Self::commit_async`] since the last call.
    pub fn take_commits(&mut self) -> Vec<(u64, Result<(), ClientError>)> {
        self.collect_commits();
        std::mem::take(&mut self.commits_done).into_iter().map(|(id, outcome)| (id.0, outcome)).collect()
    }

    fn collect_commits(&mut self) {
        let done = self.group.as_mut().map(Group::take_commits).unwrap_or_default();
        self.commits_done.extend(done);
    }

    /// What the group has stored of these partitions; nothing where it has nothing.
    pub fn committed(
        &mut self,
        partitions: &[(&str, i32)],
    ) -> Result<BTreeMap<(String, i32), Option<i64>>, ClientError> {
        let id = self.committing_group()?.ask_committed(owned(partitions));
        let what = "the last committed offset for partitions could be determined";
        let stored = self.wait_until(what, |consumer| consumer.group.as_mut()?.take_committed(id))?;
        let offset = |offset: i64| (offset >= 0).then_some(offset);
        Ok(stored.into_iter().map(|(partition, committed)| (partition, offset(committed.offset))).collect())
    }

    /// The first offset of each partition whose record has this timestamp (milliseconds since 1970) or a later one;
    /// nothing where there is none.
    pub fn offsets_for_times(
        &mut self,
        times: &[(&str, i32, i64)],
    ) -> Result<BTreeMap<(String, i32), Option<OffsetAndTimestamp>>, ClientError> {
        let at = |(topic, partition, ms): &(&str, i32, i64)| (((*topic).to_owned(), *partition), Lookup::At(*ms));
        if let Some((topic, partition, ms)) = times.iter().find(|(.., ms)| *ms < 0) {
            return Err(ClientError::Corrupt(format!(
                "The target time for partition {topic}-{partition} is {ms}. The target time cannot be negative."
            )));
        }
        self.ask_offsets(times.iter().map(at))
    }

    /// The first offsets that the logs still have.
    pub fn beginning_offsets(
        &mut self,
        partitions: &[(&str, i32)],
    ) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
        self.ends(partitions, Lookup::Earliest)
    }

    /// The offsets after the last records: the high watermarks, under read_committed the last stable offsets.
    pub fn end_offsets(&mut self, partitions: &[(&str, i32)]) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
        self.ends(partitions, Lookup::Latest)
    }

    fn ends(
        &mut self,
        partitions: &[(&str, i32)],
        lookup: Lookup,
    ) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
        let found = self.ask_offsets(owned(partitions).into_iter().map(|partition| (partition, lookup)))?;
        Ok(found.into_iter().filter_map(|(partition, found)| Some((partition, found?.offset))).collect())
    }

    fn ask_offsets(
        &mut self,
        partitions: impl Iterator<Item = (TopicPartition, Lookup)>,
    ) -> Result<BTreeMap<(String, i32), Option<OffsetAndTimestamp>>, ClientError> {
        self.questions += 1;
        self.question = Some((self.questions, Question::new(partitions)));
        let what = "the offsets could be looked up";
        let asked = self.wait_until(what, |consumer| {
            let answered = consumer.question.as_ref().is_none_or(|(_, question)| question.is_answered());
            answered.then(|| consumer.question.take())
        });
        self.question = None;
        let found = |(offset, timestamp_ms): (i64, i64)| OffsetAndTimestamp { offset, timestamp_ms };
        let answers = asked?.map(|(_, question)| question.answers).unwrap_or_default();
        Ok(answers.into_iter().map(|(partition, answer)| (partition, answer.map(found))).collect())
    }

    /// How long [`Self::position`] and its like wait.
    pub fn api_timeout(&self) -> Duration {
        self.config.default_api_timeout
    }
}

fn owned(partitions: &[(&str, i32)]) -> Vec<TopicPartition> {
    partitions.iter().map(|(topic, partition)| ((*topic).to_owned(), *partition)).collect()
}

fn committables(offsets: &[(&str, i32, i64)]) -> Vec<Committable> {
    let one = |(topic, partition, offset): &(&str, i32, i64)| Committable {
        partition: ((*topic).to_owned(), *partition),
        offset: *offset,
        epoch: -1,
    };
    offsets.iter().map(one).collect()
}

fn not_ours(partition: &TopicPartition) -> ClientError {
    ClientError::Corrupt(format!("No current assignment for partition {}", name_of(partition)))
}

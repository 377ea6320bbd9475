//! Which leader epoch began at which offset (`LeaderEpochFileCache`), kept in `leader-epoch-checkpoint`.
//!
//! ```text
//!   0                 version
//!   2                 number of entries
//!   0 0               epoch, start offset
//!   3 1200
//! ```

use crate::EpochEnd;
use crate::checkpoint::{CheckpointError, read_lines, write_lines};

/// "No epoch" and "no offset" of Kafka's answers.
const UNDEFINED: EpochEnd = EpochEnd { epoch: -1, end_offset: -1 };

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochStart {
    pub(crate) epoch: i32,
    pub(crate) start_offset: i64,
}

/// The epochs of one log. Epochs and start offsets grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    starts: Vec<EpochStart>,
}

impl Epochs {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let starts = read_lines(bytes, |words| match words {
            [epoch, start_offset] => {
                Some(EpochStart { epoch: epoch.parse().ok()?, start_offset: start_offset.parse().ok()? })
            }
            _ => None,
        })?;
        let grow = starts.windows(2).all(|w| w[0].epoch < w[1].epoch && w[0].start_offset <= w[1].start_offset);
        if grow { Ok(Self { starts }) } else { Err(CheckpointError::new("epochs that do not grow")) }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        write_lines(self.starts.iter().map(|start| format!("{} {}", start.epoch, start.start_offset)))
    }

    /// Notes that records of `epoch` begin at `start_offset`, where the epoch is new. Says whether it was.
    pub(crate) fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        let new = epoch >= 0 && epoch > self.latest();
        if new {
            self.truncate(start_offset);
            self.starts.push(EpochStart { epoch, start_offset });
        }
        new
    }

    /// Forgets epochs that begin at or above `end_offset`.
    pub(crate) fn truncate(&mut self, end_offset: i64) -> bool {
        let before = self.starts.len();
        self.starts.retain(|start| start.start_offset < end_offset);
        self.starts.len() != before
    }

    /// Forgets epochs that end at or below `log_start_offset`; the one that holds it begins there
    /// (`LeaderEpochFileCache.truncateFromStart`).
    pub(crate) fn truncate_start(&mut self, log_start_offset: i64) {
        let begun = self.starts.partition_point(|start| start.start_offset <= log_start_offset);
        self.starts.drain(..begun.saturating_sub(1));
        if let Some(first) = self.starts.first_mut() {
            first.start_offset = first.start_offset.max(log_start_offset);
        }
    }

    pub(crate) fn latest(&self) -> i32 {
        self.starts.last().map_or(-1, |start| start.epoch)
    }

    /// Where an epoch ends, as `LeaderEpochFileCache.endOffsetFor` answers.
    pub(crate) fn end_offset_for(&self, epoch: i32, end_offset: i64) -> EpochEnd {
        if epoch < 0 {
            return UNDEFINED;
        }
        if epoch == self.latest() {
            return EpochEnd { epoch, end_offset };
        }
        let above = self.starts.partition_point(|start| start.epoch <= epoch);
        let Some(higher) = self.starts.get(above) else { return UNDEFINED };
        let floor = above.checked_sub(1).map_or(epoch, |i| self.starts[i].epoch);
        EpochEnd { epoch: floor, end_offset: higher.start_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> Epochs {
        let mut epochs = Epochs::default();
        assert!(epochs.assign(2, 0) && epochs.assign(5, 100));
        epochs
    }

    #[test]
    fn an_epoch_begins_once() {
        let mut epochs = epochs();
        assert!(!epochs.assign(5, 200) && !epochs.assign(4, 200) && !epochs.assign(-1, 300));
        assert_eq!(epochs.encode(), b"0\n2\n2 0\n5 100\n");
        assert_eq!(Epochs::parse(&epochs.encode()), Ok(epochs));
    }

    #[test]
    fn ends_are_kafkas() {
        let end = |epoch| {
            let EpochEnd { epoch, end_offset } = epochs().end_offset_for(epoch, 250);
            (epoch, end_offset)
        };
        assert_eq!(end(5), (5, 250));
        assert_eq!(end(3), (2, 100));
        assert_eq!(end(2), (2, 100));
        assert_eq!(end(1), (1, 0));
        assert_eq!(end(6), (-1, -1));
        assert_eq!(end(-1), (-1, -1));
        assert_eq!(Epochs::default().end_offset_for(0, 0), UNDEFINED);
    }

    #[test]
    fn cutting_the_log_forgets_epochs() {
        let mut epochs = epochs();
        assert!(epochs.truncate(100) && !epochs.truncate(50));
        assert_eq!(epochs.latest(), 2);
    }

    #[test]
    fn a_log_that_loses_its_beginning_forgets_epochs() {
        let left = |log_start_offset| {
            let mut epochs = epochs();
            epochs.truncate_start(log_start_offset);
            String::from_utf8(epochs.encode()).unwrap()
        };
        assert_eq!(left(0), "0\n2\n2 0\n5 100\n");
        assert_eq!(left(99), "0\n2\n2 99\n5 100\n");
        assert_eq!(left(100), "0\n1\n5 100\n");
        assert_eq!(left(200), "0\n1\n5 200\n");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1\n0\n", "0\n1\n", "0\n1\n0 0 0\n", "0\n2\n5 0\n2 9\n", "0\n1\n0 0\n1 1\n"] {
            assert!(Epochs::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

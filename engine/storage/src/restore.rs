//! What is known beside the batches, made again at open: producers, aborted transactions, leader epochs.
//!
//! A snapshot holds the producers at one offset; the headers after it tell the rest. Entries of aborted transactions
//! that end at or above that offset are dropped first and come back from the markers.

use crate::aborted::Aborted;
use crate::epochs::Epochs;
use crate::names::{Kind, LEADER_EPOCHS, file_name};
use crate::partition::Snapshotted;
use crate::producers::{KnownProducers, Producers};
use crate::segment::{View, log_error};
use crate::walk::{Check, Step, Walk};
use crate::{Partition, StorageError, snapshot};

impl Partition {
    /// The producers of a log that was closed: see [`Partition::take_over`].
    #[must_use]
    pub fn into_producers(mut self) -> KnownProducers {
        KnownProducers { end_offset: self.end_offset, producers: std::mem::take(&mut self.producers) }
    }

    /// Knows of producers what the one knew who closed this log, where it ends as it did then.
    pub fn take_over(&mut self, known: KnownProducers) {
        if known.end_offset == self.end_offset {
            self.producers = known.producers;
            self.producers.visible_below(self.visible.offset);
        }
    }

    /// `first_checked`: from this offset on, files beside the log are not trusted. Gives the offset from which headers
    /// were read.
    pub(crate) fn restore(
        &mut self,
        snapshots: &[i64],
        first_checked: Option<i64>,
        wall_ms: i64,
    ) -> Result<i64, StorageError> {
        let stored_epochs = self.folder.read(LEADER_EPOCHS)?;
        let epochs = stored_epochs.as_deref().and_then(|bytes| Epochs::parse(bytes).ok());
        let aborted = self.read_aborted(self.active.base_offset)?;

        let trusted = first_checked.unwrap_or(self.end_offset);
        let trusted = if aborted.is_some() { trusted } else { trusted.min(self.active.base_offset) };
        let trusted = if epochs.is_some() { trusted } else { self.log_start_offset };
        self.epochs = epochs.unwrap_or_default();
        self.epochs.truncate(self.end_offset);
        self.epochs.truncate_start(self.log_start_offset);

        let from = self.restore_snapshot(snapshots, trusted)?;
        let aborted_fits = aborted.iter().flatten().all(|entry| entry.last_offset < from) && aborted.is_some();
        self.aborted = aborted.unwrap_or_default();
        if from < self.end_offset || !aborted_fits {
            self.replay(from)?;
        }
        self.producers.expire(wall_ms, self.config.producer_id_expiration_ms);
        let encoded = self.epochs.encode();
        if stored_epochs != Some(encoded.clone()) {
            self.folder.write(LEADER_EPOCHS, &encoded)?;
        }
        if from < self.end_offset
            && let Err(error) = self.write_snapshot()
        {
            // A full disk: the next open reads the same headers again.
            tracing::warn!(dir = %self.folder.dir.display(), %error, "no snapshot of the producers");
        }
        Ok(from)
    }

    /// Loads the newest good snapshot that is not above `trusted`. Snapshots above the end, and bad ones, go.
    fn restore_snapshot(&mut self, snapshots: &[i64], trusted: i64) -> Result<i64, StorageError> {
        for &offset in snapshots.iter().filter(|offset| **offset > self.end_offset) {
            self.folder.remove(&file_name(offset, Kind::Snapshot))?;
        }
        for &offset in snapshots.iter().rev().filter(|offset| **offset <= trusted) {
            let name = file_name(offset, Kind::Snapshot);
            match self.folder.read(&name)?.map(|bytes| snapshot::decode(&bytes)) {
                Some(Ok(producers)) => {
                    self.producers = producers;
                    self.snapshotted = Snapshotted { offset, log_bytes: 0 };
                    return Ok(offset.max(self.log_start_offset));
                }
                Some(Err(error)) => {
                    tracing::warn!(dir = %self.folder.dir.display(), file = name, %error, "snapshot is not readable");
                    self.folder.remove(&name)?;
                }
                None => {}
            }
        }
        self.producers = Producers::default();
        Ok(self.log_start_offset)
    }

    /// Reads headers from an offset on.
    fn replay(&mut self, from: i64) -> Result<(), StorageError> {
        for i in 0..self.sealed.len() {
            let sealed = self.sealed[i];
            let end = self.next_base_offset(sealed.base_offset).unwrap_or(self.end_offset);
            if end > from {
                let batches = replayed(self, &self.view_sealed(sealed)?, from)?;
                self.replay_segment(sealed.base_offset, from, batches)?;
            }
        }
        let batches = replayed(self, &View::Active(&self.active), from)?;
        self.replay_segment(self.active.base_offset, from, batches)
    }

    fn replay_segment(&mut self, base_offset: i64, from: i64, batches: Vec<Replayed>) -> Result<(), StorageError> {
        let stored = self.read_aborted(base_offset)?;
        let kept = stored.iter().flatten().filter(|entry| entry.last_offset < from);
        let mut aborted: Vec<Aborted> = kept.copied().collect();
        for Replayed { header, control } in batches {
            self.epochs.assign(header.partition_leader_epoch, header.base_offset);
            aborted.extend(self.note_producer(&header, &control));
        }
        if stored.as_ref() != Some(&aborted) {
            let bytes: Vec<u8> = aborted.iter().flat_map(Aborted::encode).collect();
            self.folder.write(&file_name(base_offset, Kind::TxnIndex), &bytes)?;
        }
        if base_offset == self.active.base_offset {
            self.aborted = aborted;
        } else if let Some(sealed) = self.sealed.iter_mut().find(|sealed| sealed.base_offset == base_offset) {
            sealed.has_aborted = !aborted.is_empty();
        }
        Ok(())
    }

    /// The aborted transactions of a segment; `None` where the file is torn.
    fn read_aborted(&self, base_offset: i64) -> Result<Option<Vec<Aborted>>, StorageError> {
        let bytes = self.folder.read(&file_name(base_offset, Kind::TxnIndex))?;
        Ok(Aborted::decode_all(&bytes.unwrap_or_default(), base_offset))
    }
}

/// A batch as a replay needs it.
struct Replayed {
    header: ringlog_wire::batch::BatchHeader,
    /// The whole batch where it is a control batch.
    control: Vec<u8>,
}

/// The batches of a segment from an offset on that say anything about producers or epochs.
fn replayed(partition: &Partition, view: &View<'_>, from: i64) -> Result<Vec<Replayed>, StorageError> {
    let folder = &partition.folder;
    let start = view.offsets().position_before(from);
    let mut walk = Walk::new(&*folder.files, view.file(), start, view.size(), view.base_offset());
    let (mut found, mut epoch) = (Vec::new(), partition.epochs.latest());
    loop {
        match walk.step(Check::Headers).map_err(log_error(folder, view.base_offset()))? {
            Step::End => return Ok(found),
            Step::Bad { reason } => {
                let path = folder.path(&file_name(view.base_offset(), Kind::Log));
                return Err(StorageError::corrupt(&path, format!("at {}: {reason}", walk.position())));
            }
            Step::Batch(header, position) if header.base_offset >= from => {
                let tells = header.has_producer_id() || header.partition_leader_epoch > epoch;
                if tells {
                    epoch = epoch.max(header.partition_leader_epoch);
                    let control = if header.is_control() {
                        let bytes = walk.bytes_of(&header, position);
                        bytes.map_err(log_error(folder, view.base_offset()))?.to_vec()
                    } else {
                        Vec::new()
                    };
                    found.push(Replayed { header, control });
                }
            }
            Step::Batch(..) => {}
        }
    }
}

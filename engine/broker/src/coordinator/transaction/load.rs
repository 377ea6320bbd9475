//! A partition of `__transaction_state` becomes ours: its records are read again, and what was decided and not completed goes on.
//!
//! ```text
//!   begin_load -> load_part (as often as there are batches) -> finish_load     Loading -> Active, markers go out
//!   unload                                                                     who waits is told NOT_COORDINATOR
//! ```

use ringlog_wire::records::transaction_log::TransactionLogKey;
use ringlog_wire::{DecodeError, ErrorCode};

use super::{Change, Effect, Id, Moment, TransactionCoordinator, enter, records};
use crate::coordinator::replay::{self, LoadError};
use crate::metadata::image::TRANSACTIONS_TOPIC;

impl TransactionCoordinator {
    /// Replays whole batches, in the order of the log. Gives how many of the bytes it used: a batch that is cut off at the end
    /// is for the next call.
    pub(crate) fn load_part(&mut self, partition: i32, bytes: &[u8]) -> Result<usize, LoadError> {
        replay::records((TRANSACTIONS_TOPIC, partition), bytes, |header, record, key| match header.is_control() {
            true => Ok(()),
            false => self.replay(partition, key, record.value),
        })
    }

    fn replay(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<(), DecodeError> {
        let Some(key) = TransactionLogKey::decode_key(key)? else { return Ok(()) };
        let now = match value {
            Some(value) => records::read(value)?,
            None => None,
        };
        match now {
            Some(now) => drop(self.ids.insert(key.transactional_id, Id::new(partition, now))),
            None => drop(self.ids.remove(&key.transactional_id)),
        }
        Ok(())
    }

    /// The partition's end was reached: its ids are served, and markers of what was decided go out (again).
    pub(crate) fn finish_load(&mut self, partition: i32, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.owned.serve(partition) {
            return effects;
        }
        for id in self.ids_where(|known| known.partition == partition && known.now.state.is_prepared()) {
            self.mark(&id, at, &mut effects);
        }
        self.set_timers(at);
        effects
    }

    /// The shard does not lead the partition any more.
    pub(crate) fn unload(&mut self, partition: i32, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.owned.give_up(partition) {
            return effects;
        }
        for id in self.ids_where(|known| known.partition == partition) {
            let Some(Id { change, entrants, .. }) = self.ids.remove(&id) else { continue };
            let change = change.and_then(|ticket| self.changes.remove(&ticket));
            if let Some(Change { next, asker, .. }) = change {
                effects.extend(self.tell(asker, Err(ErrorCode::NOT_COORDINATOR), &next));
            }
            effects.extend(enter::refuse(entrants, ErrorCode::NOT_COORDINATOR));
        }
        self.markings.retain(|_, marking| self.ids.contains_key(&marking.id));
        self.set_timers(at);
        effects
    }

    fn ids_where(&self, is_meant: impl Fn(&Id) -> bool) -> Vec<String> {
        self.ids.iter().filter(|(_, known)| is_meant(known)).map(|(id, _)| id.clone()).collect()
    }
}
